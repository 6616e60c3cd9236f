package android.widget

import android.content.Context

class Toast private constructor() {
    fun show(): Unit = TODO()

    companion object {
        const val LENGTH_LONG = 1
        fun makeText(context: Context, text: CharSequence, duration: Int): Toast = TODO()
    }
}
