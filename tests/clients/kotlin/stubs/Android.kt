// What the kit uses of Android, as far as it runs on a desk: assets are a folder.
package android

object Manifest {
    object permission {
        const val CAMERA = "android.permission.CAMERA"
    }
}
