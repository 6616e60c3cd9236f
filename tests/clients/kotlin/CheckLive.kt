// What Check runs of the path for video.

import android.content.pm.ApplicationInfo
import android.graphics.Bitmap
import android.graphics.Canvas
import androidx.camera.core.ImageProxy
import com.sun.management.ThreadMXBean
import java.io.File
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import java.nio.ByteOrder
import segnet.Contract
import segnet.Input
import segnet.Live
import segnet.Mask
import segnet.Picture
import segnet.Shrinker
import segnet.fastest
import segnet.palette
import segnet.paint
import segnet.toAlpha

private const val SIZE = Contract.WIDTH * Contract.HEIGHT

/** Prints what `fastest` says in a release build and in a debug build. */
fun choose(kit: File) = listOf(0, ApplicationInfo.FLAG_DEBUGGABLE).forEach { flags ->
    val app = TestApp(kit, flags)
    val npu = System.getProperty("npu") != null
    val found = fastest(app, File(kit, "model.tflite").readBytes(), npu)
    check(found.report.startsWith("${found.segmenter.accelerator}: "))
    check(app.cacheDir.list()!!.isEmpty()) { "a file is left" }
    println(found.report.lines().joinToString(" "))
    found.segmenter.close()
}

/**
 * Writes to a folder what Live makes of two frames: the second one white, the first one of the
 * file `frame` (R, G, B, A). a and b hold the logits that the model answers. It fails if an array
 * is not used again.
 */
fun live(folder: File) {
    val answers = listOf("a", "b").map { floats(File(folder, it)) }
    val inputs = mutableListOf<Input>()
    val live = Live({ input ->
        inputs += input
        write(File(folder, "input${inputs.size}"), input)
        answers[inputs.size - 1]
    }, opacity = 1f)
    val first = argb(File(folder, "frame").readBytes())
    val masks = mutableListOf(live.frame(first))
    File(folder, "mask1").writeBytes(masks[0])
    val pixels = live.pixels
    val mattes = mutableListOf(live.matte(2))
    val full = mutableListOf(live.mask(29, 17))
    masks += live.frame(IntArray(SIZE) { -1 })
    File(folder, "mask2").writeBytes(masks[1])
    mattes += live.matte(2)
    full += live.mask(29, 17)
    for (pair in listOf(masks, inputs, mattes, full, listOf(pixels, live.pixels))) {
        check(pair[0] === pair[1]) { "another array" }
    }
    write(File(folder, "layer"), live.pixels)
    File(folder, "matte").writeBytes(mattes[1])
    File(folder, "full").writeBytes(full[1].ids)
    File(folder, "alpha").writeBytes(toAlpha(floats(File(folder, "c")), 1))
    val small = Mask(2, 2, byteArrayOf(0, 1, 2, 1))
    println(small.colours(0.25f, IntArray(4) { 77 }).joinToString(" ") { "%08x".format(it) })
}

/** A frame with padded rows, left half red and right half blue: mirrored, blue is left. */
fun picture() {
    val (width, height, stride) = Triple(40, 20, 48)
    val raw = ByteBuffer.allocateDirect(4 * stride * height)
    for (y in 0 until height) for (x in 0 until stride) {
        raw.putInt(if (x < 20) 0xff0000ff.toInt() else if (x < width) 0x0000ffff else 0x00ff00ff)
    }
    val frame = object : ImageProxy {
        override val width = width
        override val height = height
        override val planes = arrayOf<ImageProxy.PlaneProxy>(object : ImageProxy.PlaneProxy {
            override val rowStride = 4 * stride
            override val pixelStride = 4
            override val buffer = raw
        })
        override fun close() {}
    }
    // The left half of the answer is class 1, the right half class 0.
    val answer = FloatArray(SIZE * Contract.CLASSES) {
        val (x, id) = it / Contract.CLASSES % Contract.WIDTH to it % Contract.CLASSES
        if (id == (if (x < Contract.WIDTH / 2) 1 else 0)) 1f else 0f
    }
    val live = Live({ answer }, opacity = 1f)
    for (mirrored in listOf(false, true)) {
        val picture = Picture()
        repeat(2) { picture.take(frame, mirrored, Shrinker(), live) }
        val screen = Bitmap.createBitmap(80, 100, Bitmap.Config.ARGB_8888)
        picture.draw(Canvas(screen))
        val found = IntArray(80 * 100)
        screen.getPixels(found, 0, 80, 0, 0, 80, 100)
        val points = listOf(10 to 5, 10 to 40, 70 to 40, 10 to 60, 10 to 95)
        println(points.joinToString(" ") { (x, y) -> "%08x".format(found[80 * y + x]) })
    }
}

/** Prints the bytes that the thread allocated in that many frames, and the heap's growth. */
fun memory(frames: Int) {
    val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean
    val thread = Thread.currentThread().id
    val answers = List(2) { shift -> FloatArray(SIZE * Contract.CLASSES) { (it * 7 + shift) % 11f } }
    val turn = IntArray(1)
    val live = Live({ answers[turn[0]++ and 1] }, hold = 1f)
    val frame = IntArray(SIZE) { 0x010203 * it }
    fun run(count: Int) {
        for (i in 0 until count) {
            live.frame(frame)
            live.matte(1)
            live.mask(320, 240)
        }
    }
    fun measure(count: Int): LongArray {
        val heap = heap()
        val before = threads.getThreadAllocatedBytes(thread)
        run(count)
        val after = threads.getThreadAllocatedBytes(thread)
        return longArrayOf(after - before, heap() - heap)
    }
    measure(300) // loads the classes that measure needs
    println(measure(frames).joinToString(" "))
}

private fun heap(): Long {
    System.gc()
    return Runtime.getRuntime().run { totalMemory() - freeMemory() }
}

private fun floats(file: File): FloatArray {
    val raw = ByteBuffer.wrap(file.readBytes()).order(ByteOrder.LITTLE_ENDIAN)
    return FloatArray(raw.limit() / 4) { raw.getFloat(4 * it) }
}

private fun argb(rgba: ByteArray) =
    ByteBuffer.wrap(rgba).let { raw -> IntArray(SIZE) { Integer.rotateRight(raw.getInt(), 8) } }

private fun write(file: File, values: Any) {
    val raw = ByteBuffer.allocate(4 * 3 * SIZE).order(ByteOrder.LITTLE_ENDIAN)
    when (values) {
        is FloatArray -> values.forEach(raw::putFloat)
        is IntArray -> values.forEach(raw::putInt)
        is ByteArray -> raw.put(values)
    }
    file.writeBytes(raw.array().copyOf(raw.position()))
}
