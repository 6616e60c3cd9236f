// Check faults KIT: which faults of a runtime the self-test over time notices.

import android.content.pm.ApplicationInfo
import java.io.File
import java.util.Random
import segnet.Contract
import segnet.Input
import segnet.Segmenter
import segnet.SelfTest

/** From the outputs so far, of which the last is right, to the output of a broken runtime. */
private val FAULTS = mapOf<String, (List<FloatArray>) -> FloatArray>(
    "none" to { it.last() },
    "frozen" to { it.first() },
    "frozen after ten" to { it.take(10).last() },
    "the one before" to { it.takeLast(2).first() },
    "swapped channels after ten" to { if (it.size <= 10) it.last() else swapped(it.last()) },
    "noise after ten" to { if (it.size <= 10) it.last() else shuffled(it.last()) },
    "half of the classes" to { half(it.last()) },
    "NaN after thirty" to { if (it.size <= 30) it.last() else missing(it.last()) },
    "upside down" to { turned(it.last(), false) },
    "turned by half" to { turned(it.last(), true) },
    "black from the second on" to { if (it.size == 1) it.last() else FloatArray(it.last().size) },
)

/** Prints for each fault whether it is noticed by the limits of a CPU and of a GPU. */
fun faults(kit: File) {
    val app = TestApp(kit, ApplicationInfo.FLAG_DEBUGGABLE)
    val sound = Segmenter(app)
    for ((name, fault) in FAULTS) {
        val found = listOf(Contract.TOLERANCE, Contract.HALF_TOLERANCE).map { tolerance ->
            val outputs = mutableListOf<FloatArray>()
            val infer = { tensor: Input ->
                outputs += sound.infer(tensor).copyOf()
                fault(outputs)
            }
            runCatching { SelfTest(app).checkOverTime(infer, tolerance) }.exceptionOrNull()?.message
        }
        println("$name: " + found.joinToString("; ") { it ?: "passed" })
    }
}

private fun swapped(logits: FloatArray) = FloatArray(logits.size) { i ->
    logits[i / Contract.CLASSES * Contract.CLASSES + Contract.CLASSES - 1 - i % Contract.CLASSES]
}

private fun half(logits: FloatArray) = FloatArray(logits.size) { i ->
    if (i % Contract.CLASSES < Contract.CLASSES / 2f) logits[i] else logits.min()
}

private fun shuffled(logits: FloatArray) =
    logits.toMutableList().apply { shuffle(Random(0)) }.toFloatArray()

private fun missing(logits: FloatArray) = FloatArray(logits.size) { Float.NaN }

/** Rows from below to above, and with `both` also from right to left. */
private fun turned(logits: FloatArray, both: Boolean): FloatArray {
    val row = Contract.WIDTH * Contract.CLASSES
    return FloatArray(logits.size) { i ->
        val x = i % row / Contract.CLASSES
        val from = (Contract.HEIGHT - 1 - i / row) * row
        val column = if (both) Contract.WIDTH - 1 - x else x
        logits[from + column * Contract.CLASSES + i % Contract.CLASSES]
    }
}
