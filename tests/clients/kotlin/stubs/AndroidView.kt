package android.view

import android.content.Context
import android.graphics.Canvas

open class View(context: Context) {
    protected open fun onDraw(canvas: Canvas) {}
    fun postInvalidate(): Unit = TODO()
    fun setOnClickListener(listener: (View) -> Unit): Unit = TODO()
}
