// Runs the Kotlin code of a kit whose network gives classes: self-test KIT | masks FOLDER.

import android.content.pm.ApplicationInfo
import com.google.ai.edge.litert.Accelerator
import java.io.File
import kotlin.system.exitProcess
import segnet.Contract
import segnet.Live
import segnet.Mask
import segnet.Segmenter
import segnet.fastest

fun main(args: Array<String>) = if (args[0] == "masks") masks(File(args[1])) else selfTest(File(args[1]))

fun selfTest(kit: File) {
    val found = runCatching {
        Segmenter(TestApp(kit, 0)).close()
        val debug = TestApp(kit, ApplicationInfo.FLAG_DEBUGGABLE)
        Segmenter(debug, stopOnFault = true).close()
        check(debug.goldenReads() > 0) { "golden/ is not read" }
        Segmenter(debug, Accelerator.GPU, stopOnFault = true).close()
    }
    println(found.exceptionOrNull()?.message ?: fastest(TestApp(kit, 0)).report.substringBefore(':'))
    exitProcess(if (found.isSuccess) 0 else 1)
}

/** Writes the mask of FOLDER/ids at each size WxH in FOLDER/sizes, and what Live makes of it. */
fun masks(folder: File) {
    val ids = File(folder, "ids").readBytes()
    for (size in File(folder, "sizes").readLines()) {
        val (width, height) = size.split("x").map { it.toInt() }
        File(folder, "$size.found").writeBytes(Mask.of(ids, width, height).ids)
    }
    val live = Live({ ids }, opacity = 1f)
    File(folder, "live.found").writeBytes(live.frame(IntArray(Contract.WIDTH * Contract.HEIGHT)))
    check(live.mask(29, 17).ids.contentEquals(Mask.of(ids, 29, 17).ids)) { "another mask" }
    println(live.pixels.take(3).joinToString(" ") { "%08x".format(it) })
}
