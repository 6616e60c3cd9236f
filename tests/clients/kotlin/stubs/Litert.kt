// The part of LiteRT 2.3.0's Kotlin API that the kit uses. Recorded outputs replace the model.
package com.google.ai.edge.litert

import android.content.Context
import android.content.res.AssetManager
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.experimental.xor
import recorded.RecordedOutputs

enum class Accelerator { NONE, CPU, GPU, NPU }

class LiteRtException(message: String) : Exception(message)

/** The system property "npu" is runs, slow or wrong; without it there is none. */
private val npu = System.getProperty("npu") ?: ""

class BuiltinNpuAcceleratorProvider(val context: Context)

class Environment private constructor() : AutoCloseable {
    fun getAvailableAccelerators(): Set<Accelerator> =
        if (npu.isEmpty()) setOf(Accelerator.CPU) else setOf(Accelerator.CPU, Accelerator.NPU)

    override fun close() {}

    companion object {
        fun create(npuAcceleratorProvider: BuiltinNpuAcceleratorProvider) = Environment()
    }
}

/**
 * How the GPU of this computer behaves: the system property "gpu" is refuses, wrong, slow or cpu,
 * which is to give the CPU's bits. Any other one changes a value a little.
 */
private val gpu = System.getProperty("gpu") ?: ""

class TensorBuffer internal constructor() : AutoCloseable {
    internal var floats: FloatArray? = null
    internal var bytes: ByteArray? = null

    fun writeFloat(data: FloatArray) {
        floats = data.copyOf()
    }

    fun writeInt8(data: ByteArray) {
        bytes = data.copyOf()
    }

    fun readFloat(): FloatArray = floats!!.copyOf()
    fun readInt8(): ByteArray = bytes!!.copyOf()

    fun readInt(): IntArray {
        val ints = ByteBuffer.wrap(bytes!!).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer()
        return IntArray(ints.remaining()) { ints.get(it) }
    }

    override fun close() {}
}

class CompiledModel private constructor(options: Options) : AutoCloseable {
    class Options(vararg val accelerators: Accelerator)

    private val onGpu = Accelerator.GPU in options.accelerators
    private val onNpu = Accelerator.NPU in options.accelerators

    init {
        if (onGpu && gpu == "refuses") throw LiteRtException("no GPU")
    }

    fun createInputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = listOf(TensorBuffer())
    fun createOutputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = listOf(TensorBuffer())

    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0) {
        val output = RecordedOutputs.find(inputs[0].floats, inputs[0].bytes)
        outputs[0].floats = output.floats
        outputs[0].bytes = output.bytes
        if (onGpu && gpu != "cpu") {
            outputs[0].floats = output.floats.also { if (it.isNotEmpty()) it[0] += 1e-6f }
            outputs[0].bytes = output.bytes.copyOf().also { it[0] = it[0] xor 1 }
        }
        if (onGpu && gpu == "wrong") {
            outputs[0].floats?.reverse()
            outputs[0].bytes = outputs[0].bytes!!.reversedArray()
        }
        if (onNpu && npu == "wrong") {
            outputs[0].floats = output.floats.reversedArray()
            outputs[0].bytes = output.bytes.reversedArray()
        }
        if (onNpu && npu == "slow") Thread.sleep(40)
        if (!onNpu && onGpu == (gpu == "slow")) Thread.sleep(20)
    }

    override fun close() {}

    companion object {
        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options = Options(Accelerator.CPU),
            optionalEnv: Environment? = null,
        ): CompiledModel {
            assetManager.open(assetName).close()
            return CompiledModel(options)
        }

        fun create(
            filePath: String,
            options: Options = Options(Accelerator.CPU),
            optionalEnv: Environment? = null,
        ): CompiledModel {
            check(File(filePath).length() > 0)
            return CompiledModel(options)
        }
    }
}
