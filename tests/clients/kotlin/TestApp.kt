import android.content.Context
import android.content.SharedPreferences
import android.content.pm.ApplicationInfo
import android.content.pm.PackageInfo
import android.content.pm.PackageManager
import android.content.res.AssetManager
import java.io.File
import kotlin.io.path.createTempDirectory

/** An app whose assets are the files of a kit. */
class TestApp(kit: File, flags: Int) : Context() {
    override val assets = AssetManager(kit)
    override val applicationInfo = ApplicationInfo(flags)
    override val cacheDir = createTempDirectory().toFile().also { it.deleteOnExit() }
    override val packageName = "segnet.sample"
    override val packageManager = object : PackageManager() {
        override fun getPackageInfo(name: String, flags: Int) = PackageInfo(1_700_000_000_000)
    }
    private val stored = mutableMapOf<String, Long>()

    /** How many files in golden/ were opened. */
    fun goldenReads() = assets.opened.count { it.startsWith("golden/") }

    override fun getSharedPreferences(name: String, mode: Int) = object : SharedPreferences {
        override fun getLong(key: String, absent: Long) = stored[key] ?: absent
        override fun edit() = object : SharedPreferences.Editor {
            override fun putLong(key: String, value: Long) = apply { stored[key] = value }
            override fun apply() {}
        }
    }
}
