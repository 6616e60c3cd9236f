// The part of Android that the kit uses, for a desktop computer: the assets are a folder. What the
// tests do not run is TODO().
package android

object Manifest {
    object permission {
        const val CAMERA = "android.permission.CAMERA"
    }
}
