package com.google.mediapipe.framework.image

import android.graphics.Bitmap
import java.nio.ByteBuffer

class MPImage(internal val bitmap: Bitmap?, internal val buffer: ByteBuffer?) : AutoCloseable {
    override fun close() {}

    companion object {
        fun pixels(image: MPImage): Bitmap = image.bitmap!!
    }
}

class BitmapImageBuilder(private val bitmap: Bitmap) {
    fun build() = MPImage(bitmap, null)
}

object ByteBufferExtractor {
    /** A read-only view in Java's byte order (big-endian) instead of the machine's. */
    fun extract(image: MPImage): ByteBuffer = image.buffer!!.asReadOnlyBuffer()
}
