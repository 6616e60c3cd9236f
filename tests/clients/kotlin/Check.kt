// Runs a kit's Kotlin code on this computer: Check self-test KIT | Check cases FOLDER | what is in
// CheckLive.kt.

import android.content.Context
import android.content.pm.ApplicationInfo
import com.google.ai.edge.litert.Accelerator
import java.io.File
import java.io.FileDescriptor
import java.io.FileOutputStream
import java.io.PrintStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.system.exitProcess
import segnet.Contract
import segnet.Input
import segnet.Mask
import segnet.MediaPipeSegmenter
import segnet.Resizer
import segnet.Segmenter

fun main(args: Array<String>) = when (args[0]) {
    "self-test" -> selfTest(File(args[1]))
    "fastest" -> choose(File(args[1]))
    "faults" -> faults(File(args[1]))
    "goes on" -> goesOn(File(args[1]))
    "live" -> live(File(args[1]))
    "picture" -> picture()
    "memory" -> memory(args[1].toInt())
    else -> {
        File(args[1]).listFiles()!!.forEach(::case)
        PrintStream(FileOutputStream(FileDescriptor.out), true, "UTF-8").println(
            Contract.LABELS.joinToString("\n"),
        )
    }
}

/** Prints one line for each segmenter class; the exit code is 1 when one of them fails. */
fun selfTest(kit: File) {
    val results = mapOf<String, (Context) -> AutoCloseable>(
        "Segmenter" to { Segmenter(it, stopOnFault = true) },
        "Segmenter of bytes" to {
            Segmenter(it, model = File(kit, "model.tflite").readBytes(), stopOnFault = true)
        },
        "MediaPipeSegmenter" to { MediaPipeSegmenter(it, stopOnFault = true) },
    ).map { (name, create) ->
        val found = runCatching {
            val release = TestApp(kit, 0)
            create(release).close()
            check(release.goldenReads() == 0) { "a release build reads golden/" }
            val debug = TestApp(kit, ApplicationInfo.FLAG_DEBUGGABLE)
            create(debug).close()
            val reads = debug.goldenReads()
            create(debug).close()
            check(reads > 0 && debug.goldenReads() == reads) { "the self-test runs a second time" }
        }
        println("$name: ${found.exceptionOrNull()?.message ?: "passed"}")
        found.isSuccess
    }
    exitProcess(if (results.all { it }) 0 else 1)
}

/** Prints what the segmenters of a debug build say and run on where nothing asks them to stop. */
fun goesOn(kit: File) {
    for (asked in listOf(Accelerator.CPU, Accelerator.GPU)) {
        Segmenter(TestApp(kit, ApplicationInfo.FLAG_DEBUGGABLE), asked).use {
            it.infer(Input(3 * Contract.WIDTH * Contract.HEIGHT))
            println("$asked: ${it.accelerator}, ${it.fault}")
        }
    }
    MediaPipeSegmenter(TestApp(kit, ApplicationInfo.FLAG_DEBUGGABLE)).use {
        println("MediaPipe: ${it.fault}")
    }
}

/**
 * Writes the result of one case to the file's name + ".found". rgb.WxH.rgba holds R, G, B, A bytes:
 * the result is the image at the model's size, R, G, B. mask.WxH.logits holds float32 logits: the
 * result is the class ids at W x H.
 */
fun case(file: File) {
    val (kind, size) = file.name.split(".")
    val (width, height) = size.split("x").map { it.toInt() }
    val raw = ByteBuffer.wrap(file.readBytes())
    val found = if (kind == "rgb") {
        val argb = IntArray(width * height) { Integer.rotateRight(raw.getInt(4 * it), 8) }
        Resizer(width, height).resize(argb)
    } else {
        raw.order(ByteOrder.LITTLE_ENDIAN)
        Mask.of(FloatArray(raw.limit() / 4) { raw.getFloat(4 * it) }, width, height).ids
    }
    File(file.path + ".found").writeBytes(found)
}
