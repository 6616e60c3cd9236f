package android.graphics

import java.awt.image.BufferedImage
import java.io.ByteArrayInputStream
import javax.imageio.ImageIO

class Bitmap private constructor(val width: Int, val height: Int, private val pixels: IntArray) {
    enum class Config { ARGB_8888 }

    fun getPixels(into: IntArray, offset: Int, stride: Int, x: Int, y: Int, w: Int, h: Int) {
        check(offset == 0 && x == 0 && y == 0 && stride == width && w == width && h == height)
        pixels.copyInto(into)
    }

    fun setPixels(from: IntArray, offset: Int, stride: Int, x: Int, y: Int, w: Int, h: Int) {
        check(offset == 0 && x == 0 && y == 0 && stride == width && w == width && h == height)
        from.copyInto(pixels)
    }

    fun copy(config: Config, mutable: Boolean): Bitmap = Bitmap(width, height, pixels.copyOf())

    companion object {
        fun createBitmap(width: Int, height: Int, config: Config) =
            Bitmap(width, height, IntArray(width * height))

        fun createBitmap(colours: IntArray, width: Int, height: Int, config: Config) =
            Bitmap(width, height, colours.copyOf())

        fun createBitmap(
            source: Bitmap, x: Int, y: Int, width: Int, height: Int, m: Matrix?, filter: Boolean,
        ): Bitmap = TODO()
    }
}

object BitmapFactory {
    fun decodeByteArray(raw: ByteArray, offset: Int, length: Int): Bitmap? {
        val read = ImageIO.read(ByteArrayInputStream(raw, offset, length)) ?: return null
        val (width, height) = read.width to read.height
        val pixels = if (read.raster.numBands == 1) {
            // Android returns a grey image's bytes; Java's getRGB would apply a gamma to them.
            read.raster.getSamples(0, 0, width, height, 0, null as IntArray?)
                .map { 0xff shl 24 or it * 0x010101 }.toIntArray()
        } else {
            read.getRGB(0, 0, width, height, null, 0, width)
        }
        return Bitmap.createBitmap(pixels, width, height, Bitmap.Config.ARGB_8888)
    }
}

class Matrix {
    fun postRotate(degrees: Float): Boolean = TODO()
}

class Paint

class Canvas(onto: Bitmap) {
    fun drawBitmap(bitmap: Bitmap, left: Float, top: Float, paint: Paint?): Unit = TODO()
}
