package recorded

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

/**
 * Replaces the network by the outputs of the real file for a few inputs. They are read from the
 * folder in the system property "recorded": NAME.rgb holds the bytes of an input at the model's
 * size, NAME.out the output tensor, NAME.confidences MediaPipe's confidence masks (float32), one
 * class after the other. The output is zeros for an input that differs from each of them by more
 * than 1 in some byte.
 */
object RecordedOutputs {
    class Output(val rgb: ByteArray, val out: ByteArray, val confidences: ByteArray) {
        val floats get() = FloatArray(out.size / 4) { littleEndian(out).getFloat(4 * it) }
        val bytes get() = out
    }

    private val all: List<Output> by lazy {
        File(System.getProperty("recorded")).listFiles()!!.filter { it.extension == "rgb" }.map {
            fun read(ending: String) = File(it.path.removeSuffix("rgb") + ending).readBytes()
            Output(read("rgb"), read("out"), read("confidences"))
        }
    }

    fun find(floats: FloatArray?, bytes: ByteArray?): Output {
        if (floats != null) return nearest(FloatArray(floats.size) { (floats[it] + 1) * 127.5f })
        return nearest(FloatArray(bytes!!.size) { (bytes[it].toInt() and 0xff).toFloat() })
    }

    fun confidences(argb: IntArray): List<ByteBuffer> {
        val values = FloatArray(argb.size * 3) {
            (argb[it / 3] shr (16 - it % 3 * 8) and 0xff).toFloat()
        }
        val recorded = littleEndian(nearest(values).confidences)
        return (0 until recorded.limit() / 4 step argb.size).map { start ->
            ByteBuffer.allocateDirect(4 * argb.size).order(ByteOrder.nativeOrder()).apply {
                for (i in argb.indices) putFloat(4 * i, recorded.getFloat(4 * (start + i)))
            }
        }
    }

    private fun nearest(values: FloatArray): Output {
        fun isNear(output: Output) = output.rgb.size == values.size && values.indices.all {
            abs(values[it] - (output.rgb[it].toInt() and 0xff)) <= 1.01f
        }
        val known = all.first()
        return all.firstOrNull(::isNear)
            ?: Output(known.rgb, ByteArray(known.out.size), ByteArray(known.confidences.size))
    }

    private fun littleEndian(raw: ByteArray) = ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN)
}
