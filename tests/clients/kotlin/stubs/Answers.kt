package desk

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

/**
 * The model of the stubs: what the real file gave for some inputs, in the folder named by the
 * property "answers". NAME.rgb holds the bytes of an input at the model's size, NAME.out the output
 * tensor, NAME.confidences MediaPipe's float images, one class after the other.
 * An input that is no neighbour of any of them gets zeros.
 */
object Answers {
    class Answer(val rgb: ByteArray, val out: ByteArray, val confidences: ByteArray) {
        val floats get() = FloatArray(out.size / 4) { little(out).getFloat(4 * it) }
        val bytes get() = out
    }

    private val all: List<Answer> by lazy {
        File(System.getProperty("answers")).listFiles()!!.filter { it.extension == "rgb" }.map {
            fun part(ending: String) = File(it.path.removeSuffix("rgb") + ending).readBytes()
            Answer(part("rgb"), part("out"), part("confidences"))
        }
    }

    fun find(floats: FloatArray?, bytes: ByteArray?): Answer {
        if (floats != null) return nearest(FloatArray(floats.size) { (floats[it] + 1) * 127.5f })
        return nearest(FloatArray(bytes!!.size) { (bytes[it].toInt() and 0xff).toFloat() })
    }

    fun confidences(argb: IntArray): List<ByteBuffer> {
        val levels = FloatArray(argb.size * 3) {
            (argb[it / 3] shr (16 - it % 3 * 8) and 0xff).toFloat()
        }
        val shares = little(nearest(levels).confidences)
        return (0 until shares.limit() / 4 step argb.size).map { start ->
            ByteBuffer.allocateDirect(4 * argb.size).order(ByteOrder.nativeOrder()).apply {
                for (i in argb.indices) putFloat(4 * i, shares.getFloat(4 * (start + i)))
            }
        }
    }

    private fun nearest(levels: FloatArray): Answer {
        fun near(answer: Answer) = answer.rgb.size == levels.size && levels.indices.all {
            abs(levels[it] - (answer.rgb[it].toInt() and 0xff)) <= 1.01f
        }
        val known = all.first()
        return all.firstOrNull(::near)
            ?: Answer(known.rgb, ByteArray(known.out.size), ByteArray(known.confidences.size))
    }

    private fun little(raw: ByteArray) = ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN)
}
