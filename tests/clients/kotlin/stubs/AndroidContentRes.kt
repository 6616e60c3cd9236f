package android.content.res

import java.io.File
import java.io.InputStream

class AssetManager(private val folder: File) {
    val opened = mutableListOf<String>()

    /** Throws FileNotFoundException, as Android does. */
    fun open(name: String): InputStream {
        opened += name
        return File(folder, name).inputStream()
    }
}
