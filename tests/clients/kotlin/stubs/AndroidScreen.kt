package android.widget

import android.content.Context
import android.graphics.Bitmap
import android.view.View

class ImageView(context: Context) : View() {
    fun setImageBitmap(bitmap: Bitmap?): Unit = TODO()
}
