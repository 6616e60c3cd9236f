// Times the Kotlin code of a kit from a frame to its overlay, without the network; on a JVM.
// benchmarks/frame.py compiles it with a kit's code and runs it: frame OUTPUT, where OUTPUT is
// golden/output.bin. For each line "PATH WIDTH HEIGHT" it runs one frame and prints the
// milliseconds of its stages.
package segnet

import java.awt.RenderingHints
import java.awt.image.BufferedImage
import java.awt.image.DataBufferInt
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.cos
import kotlin.math.sin

private const val HOLD = 1.25f

fun main(args: Array<String>) {
    val logits = logits(File(args[0]).readBytes())
    val frames = mutableMapOf<String, () -> DoubleArray>()
    while (true) {
        val line = readLine() ?: return
        val run = frames.getOrPut(line) {
            val (path, width, height) = line.split(" ")
            val image = picture(width.toInt(), height.toInt())
            if (path == "exact") exact(image, logits)
            else live(image, logits, if (path == "smooth") HOLD else 0f)
        }
        println(run().joinToString(" "))
    }
}

/** Stages: tensor, mask, colours. */
private fun exact(image: BufferedImage, logits: FloatArray): () -> DoubleArray {
    val resizer = Resizer(image.width, image.height)
    val rgb = ByteArray(Contract.HEIGHT * Contract.WIDTH * 3)
    val tensor = Input(rgb.size)
    val masker = Masker(image.width, image.height)
    val mask = Mask(image.width, image.height)
    val pixels = IntArray(mask.ids.size)
    return laps(
        { toTensor(resizer.resize(argb(image), rgb), tensor) },
        { masker.mask(logits, mask) },
        { mask.colours(pixels = pixels) },
    )
}

/** Stages: read (java.awt's bilinear scaler in place of Android's), tensor, colours. */
private fun live(image: BufferedImage, logits: FloatArray, hold: Float): () -> DoubleArray {
    val live = Live({ logits }, hold = hold)
    val found = FloatArray(logits.size) // which Smooth changes
    val small = BufferedImage(Contract.WIDTH, Contract.HEIGHT, BufferedImage.TYPE_INT_ARGB)
    val graphics = small.createGraphics().apply {
        setRenderingHint(
            RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BILINEAR,
        )
    }
    return laps(
        {
            graphics.drawImage(image, 0, 0, small.width, small.height, null)
            logits.copyInto(found)
        },
        { live.read(argb(small)) },
        { live.show(found) },
    )
}

private fun laps(vararg stages: () -> Any): () -> DoubleArray = {
    DoubleArray(stages.size) {
        val start = System.nanoTime()
        stages[it]()
        (System.nanoTime() - start) / 1e6
    }
}

private fun argb(image: BufferedImage) = (image.raster.dataBuffer as DataBufferInt).data

/** Waves of colour with some noise. */
private fun picture(width: Int, height: Int): BufferedImage {
    val image = BufferedImage(width, height, BufferedImage.TYPE_INT_ARGB)
    val pixels = argb(image)
    for (i in pixels.indices) {
        val (x, y) = i % width to i / width
        pixels[i] = 0xff shl 24
        for (channel in 0..2) {
            val wave = sin(9.0 * x / width + channel) * cos(7.0 * y / height)
            val value = (120 + 100 * wave + (3 * i + channel) * 7919L % 31).toInt()
            pixels[i] = pixels[i] or (value shl 8 * channel)
        }
    }
    return image
}

private fun logits(raw: ByteArray): FloatArray {
    if (raw.size == Contract.HEIGHT * Contract.WIDTH * Contract.CLASSES) return raw.values()
    val floats = ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
    return FloatArray(floats.remaining()).also { floats.get(it) }
}
