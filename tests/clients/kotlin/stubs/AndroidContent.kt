package android.content

import android.content.pm.ApplicationInfo
import android.content.pm.PackageManager
import android.content.res.AssetManager
import java.io.File

open class Context {
    open val assets: AssetManager get() = TODO()
    open val applicationInfo: ApplicationInfo get() = TODO()
    open val packageManager: PackageManager get() = TODO()
    open val cacheDir: File get() = TODO()
    open val packageName: String get() = TODO()
    open val applicationContext: Context get() = this
    open fun getSharedPreferences(name: String, mode: Int): SharedPreferences = TODO()

    companion object {
        const val MODE_PRIVATE = 0
    }
}

interface SharedPreferences {
    fun getLong(key: String, absent: Long): Long
    fun edit(): Editor

    interface Editor {
        fun putLong(key: String, value: Long): Editor
        fun apply()
    }
}
