// Runs a kit's Kotlin on this desk: Check self-test KIT | Check cases FOLDER.

import android.content.Context
import android.content.SharedPreferences
import android.content.pm.ApplicationInfo
import android.content.pm.PackageInfo
import android.content.pm.PackageManager
import android.content.res.AssetManager
import java.io.File
import java.io.FileDescriptor
import java.io.FileOutputStream
import java.io.PrintStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.system.exitProcess
import segnet.Contract
import segnet.Mask
import segnet.MediaPipeSegmenter
import segnet.Resize
import segnet.Segmenter

fun main(words: Array<String>) = when (words[0]) {
    "self-test" -> selfTest(File(words[1]))
    else -> {
        File(words[1]).listFiles()!!.forEach(::case)
        PrintStream(FileOutputStream(FileDescriptor.out), true, "UTF-8").println(
            Contract.LABELS.joinToString("\n"),
        )
    }
}

/** A line for each class; exit code 1 when one of them fails. */
fun selfTest(kit: File) {
    val results = mapOf<String, (Context) -> AutoCloseable>(
        "Segmenter" to { Segmenter(it) },
        "MediaPipeSegmenter" to { MediaPipeSegmenter(it) },
    ).map { (name, make) ->
        val found = runCatching {
            val release = Desk(kit, 0)
            make(release).close()
            check(release.golden() == 0) { "a release reads golden/" }
            val debug = Desk(kit, ApplicationInfo.FLAG_DEBUGGABLE)
            make(debug).close()
            val read = debug.golden()
            make(debug).close()
            check(read > 0 && debug.golden() == read) { "a second start tests again" }
        }
        println("$name: ${found.exceptionOrNull()?.message ?: "passed"}")
        found.isSuccess
    }
    exitProcess(if (results.all { it }) 0 else 1)
}

/**
 * rgb.WxH.rgba, R, G, B, A bytes: writes them resized to the model's size. mask.WxH.logits,
 * float32: writes the class ids at W x H. Both to the name + ".found".
 */
fun case(file: File) {
    val (kind, size) = file.name.split(".")
    val (width, height) = size.split("x").map { it.toInt() }
    val raw = ByteBuffer.wrap(file.readBytes())
    val found = if (kind == "rgb") {
        val argb = IntArray(width * height) { Integer.rotateRight(raw.getInt(4 * it), 8) }
        Resize(width, height)(argb)
    } else {
        raw.order(ByteOrder.LITTLE_ENDIAN)
        Mask.of(FloatArray(raw.limit() / 4) { raw.getFloat(4 * it) }, width, height).ids
    }
    File(file.path + ".found").writeBytes(found)
}

/** An app whose assets are a kit and its golden pair. */
class Desk(kit: File, flags: Int) : Context() {
    override val assets = AssetManager(kit)
    override val applicationInfo = ApplicationInfo(flags)
    override val packageName = "segnet.sample"
    override val packageManager = object : PackageManager() {
        override fun getPackageInfo(name: String, flags: Int) = PackageInfo(1_700_000_000_000)
    }
    private val kept = mutableMapOf<String, Long>()

    fun golden() = assets.opened.count { it.startsWith("golden/") }

    override fun getSharedPreferences(name: String, mode: Int) = object : SharedPreferences {
        override fun getLong(key: String, absent: Long) = kept[key] ?: absent
        override fun edit() = object : SharedPreferences.Editor {
            override fun putLong(key: String, value: Long) = apply { kept[key] = value }
            override fun apply() {}
        }
    }
}
