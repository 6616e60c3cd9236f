package com.google.mediapipe.tasks.core

class BaseOptions private constructor(val path: String) {
    class Builder {
        private var path = ""
        fun setModelAssetPath(value: String) = apply { path = value }
        fun build() = BaseOptions(path)
    }

    companion object {
        fun builder() = Builder()
    }
}
