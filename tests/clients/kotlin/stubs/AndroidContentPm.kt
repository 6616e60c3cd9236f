package android.content.pm

class ApplicationInfo(@JvmField var flags: Int) {
    companion object {
        const val FLAG_DEBUGGABLE = 2
    }
}

class PackageInfo(@JvmField var lastUpdateTime: Long)

open class PackageManager {
    open fun getPackageInfo(name: String, flags: Int): PackageInfo = TODO()

    companion object {
        const val PERMISSION_GRANTED = 0
    }
}
