package android.graphics

import java.awt.RenderingHints
import java.awt.geom.AffineTransform
import java.awt.image.BufferedImage
import java.awt.image.ColorModel
import java.awt.image.DataBufferInt
import java.awt.image.Raster
import java.io.ByteArrayInputStream
import java.nio.Buffer
import java.nio.ByteBuffer
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

    fun copyPixelsFromBuffer(from: Buffer) {
        from as ByteBuffer
        if (from.remaining() < 4 * pixels.size) throw RuntimeException("Buffer not large enough")
        for (i in pixels.indices) pixels[i] = Integer.rotateRight(from.getInt(), 8)
    }

    /** The same pixels as one of Java's images. */
    internal fun shared(): BufferedImage {
        val raster = Raster.createPackedRaster(
            DataBufferInt(pixels, pixels.size), width, height, width, MASKS, null,
        )
        return BufferedImage(ColorModel.getRGBdefault(), raster, false, null)
    }

    companion object {
        private val MASKS = intArrayOf(0xff0000, 0xff00, 0xff, 0xff shl 24)

        fun createBitmap(width: Int, height: Int, config: Config) =
            Bitmap(width, height, IntArray(width * height))

        fun createBitmap(colours: IntArray, width: Int, height: Int, config: Config) =
            Bitmap(width, height, colours.copyOf())
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

class Rect() {
    @JvmField var left = 0
    @JvmField var top = 0
    @JvmField var right = 0
    @JvmField var bottom = 0

    constructor(left: Int, top: Int, right: Int, bottom: Int) : this() {
        set(left, top, right, bottom)
    }

    fun set(left: Int, top: Int, right: Int, bottom: Int) {
        this.left = left
        this.top = top
        this.right = right
        this.bottom = bottom
    }

    fun width() = right - left
    fun height() = bottom - top
}

class Paint(flags: Int) {
    companion object {
        const val FILTER_BITMAP_FLAG = 2
    }
}

/** Java's canvas in place of Android's; both interpolate between four pixels. */
class Canvas(onto: Bitmap) {
    val width = onto.width
    val height = onto.height
    private val image = onto.shared()
    private val graphics = image.createGraphics().apply {
        setRenderingHint(
            RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BILINEAR,
        )
    }
    private val kept = ArrayDeque<AffineTransform>()

    fun drawBitmap(bitmap: Bitmap, part: Rect?, to: Rect, paint: Paint?) {
        val from = part ?: Rect(0, 0, bitmap.width, bitmap.height)
        graphics.drawImage(
            bitmap.shared(), to.left, to.top, to.right, to.bottom,
            from.left, from.top, from.right, from.bottom, null,
        )
    }

    fun save() = kept.addLast(graphics.transform)

    fun restore() {
        graphics.transform = kept.removeLast()
    }

    fun scale(x: Float, y: Float, aroundX: Float, aroundY: Float) {
        graphics.translate(aroundX.toDouble(), aroundY.toDouble())
        graphics.scale(x.toDouble(), y.toDouble())
        graphics.translate(-aroundX.toDouble(), -aroundY.toDouble())
    }
}
