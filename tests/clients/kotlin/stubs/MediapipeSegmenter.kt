// The part of MediaPipe Tasks 1.0.0 that the kit uses. Recorded outputs replace the model.
package com.google.mediapipe.tasks.vision.imagesegmenter

import android.content.Context
import com.google.mediapipe.framework.image.MPImage
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.vision.core.RunningMode
import java.util.Optional
import recorded.RecordedOutputs

class ImageSegmenterResult(private val masks: List<MPImage>) {
    fun confidenceMasks(): Optional<List<MPImage>> = Optional.of(masks)
    fun categoryMask(): Optional<MPImage> = Optional.empty()
}

class ImageSegmenter private constructor() : AutoCloseable {
    class ImageSegmenterOptions private constructor(val base: BaseOptions) {
        class Builder {
            private var base: BaseOptions? = null
            fun setBaseOptions(value: BaseOptions) = apply { base = value }
            fun setRunningMode(mode: RunningMode) = apply { check(mode == RunningMode.IMAGE) }
            fun setOutputConfidenceMasks(enabled: Boolean) = apply { check(enabled) }
            fun setOutputCategoryMask(enabled: Boolean) = apply { check(!enabled) }
            fun build() = ImageSegmenterOptions(base!!)
        }

        companion object {
            fun builder() = Builder()
        }
    }

    fun segment(image: MPImage): ImageSegmenterResult {
        val bitmap = MPImage.pixels(image)
        val pixels = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        return ImageSegmenterResult(RecordedOutputs.confidences(pixels).map { MPImage(null, it) })
    }

    override fun close() {}

    companion object {
        fun createFromOptions(context: Context, options: ImageSegmenterOptions): ImageSegmenter {
            context.assets.open(options.base.path).close()
            return ImageSegmenter()
        }
    }
}
