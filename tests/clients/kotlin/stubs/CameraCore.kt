package androidx.camera.core

import java.nio.ByteBuffer
import java.util.concurrent.Executor

abstract class UseCase

interface ImageProxy : AutoCloseable {
    val width: Int
    val height: Int
    val planes: Array<PlaneProxy>

    interface PlaneProxy {
        val rowStride: Int
        val pixelStride: Int
        val buffer: ByteBuffer
    }
}

class ImageAnalysis private constructor() : UseCase() {
    fun interface Analyzer {
        fun analyze(image: ImageProxy)
    }

    class Builder {
        fun setOutputImageFormat(format: Int): Builder = TODO()
        fun setOutputImageRotationEnabled(enabled: Boolean): Builder = TODO()
        fun setBackpressureStrategy(strategy: Int): Builder = TODO()
        fun build(): ImageAnalysis = TODO()
    }

    fun setAnalyzer(executor: Executor, analyzer: Analyzer): Unit = TODO()
    fun clearAnalyzer(): Unit = TODO()

    companion object {
        const val OUTPUT_IMAGE_FORMAT_RGBA_8888 = 2
        const val STRATEGY_KEEP_ONLY_LATEST = 0
    }
}

class CameraSelector private constructor() {
    companion object {
        val DEFAULT_FRONT_CAMERA: CameraSelector get() = TODO()
        val DEFAULT_BACK_CAMERA: CameraSelector get() = TODO()
    }
}

interface Camera
