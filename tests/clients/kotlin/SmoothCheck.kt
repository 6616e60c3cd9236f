// Runs a kit's Smooth on the frames of a folder, of which test_smooth.py writes logits and tensors.

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import segnet.Contract
import segnet.Smooth

fun main(args: Array<String>) {
    val smooth = Smooth(1.5f)
    val ids = ByteArray(Contract.HEIGHT * Contract.WIDTH) { (Contract.CLASSES - 1).toByte() }
    for (number in 0 until args[1].toInt()) {
        val logits = floats(File(args[0], "logits$number"))
        val tensor = File(args[0], "tensor$number")
        if (args[2] == "float32") add(smooth, logits, floats(tensor), ids)
        else add(smooth, logits, tensor.readBytes(), ids)
        for (i in ids.indices) {
            val start = i * Contract.CLASSES
            ids[i] = (0 until Contract.CLASSES).maxByOrNull { logits[start + it] }!!.toByte()
        }
        val raw = ByteBuffer.allocate(4 * logits.size).order(ByteOrder.LITTLE_ENDIAN)
        raw.asFloatBuffer().put(logits)
        File(args[0], "found$number").writeBytes(raw.array())
    }
}

/** The type of the tensor is that of the kit, so the method is found when it runs. */
fun add(smooth: Smooth, logits: FloatArray, tensor: Any, ids: ByteArray) {
    val method = Smooth::class.java.methods.single { it.name == "add" }
    method.invoke(smooth, logits, tensor, ids)
}

fun floats(file: File): FloatArray {
    val raw = ByteBuffer.wrap(file.readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
    return FloatArray(raw.limit()).also { raw.get(it) }
}
