// The parts of TensorFlowLiteSwift 2.17.0 that the kit uses. An interpreter does not read the
// model: it knows the outputs of the inputs in the folder RECORDED; of any other it makes zeros.
// PROCESSORS says what the GPU and Core ML are on this phone: right, missing, or the CPU under another
// name. FAULT names a fault, which the CPU has or, if PROCESSORS is wrong, what is
// not the CPU.
import Foundation

private func variable(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }

/// The model's size and classes, of the tests' kits.
private let (height, width, classes) = (64, 96, 3)

/// From the outputs so far, of which the last is right, to the output of a broken runtime.
private nonisolated(unsafe) let faults: [String: ([[Float]]) -> [Float]] = [
    "frozen": { $0[0] },
    "frozen after ten": { $0.prefix(10).last! },
    "the one before": { $0.suffix(2).first! },
    "swapped channels after ten": { late(10, $0) { all, i in all[i - i % classes * 2 + classes - 1] } },
    "noise after ten": { late(10, $0) { all, i in all[i * 7919 % all.count] } },
    "half of the classes": {
        late(0, $0) { all, i in i % classes < 2 ? all[i] : min(all[i], all[i - 1], all[i - 2]) - 1 }
    },
    "no numbers after thirty": { late(30, $0) { _, _ in .nan } },
    "upside down": { late(0, $0) { all, i in all[moved(i, up: true, across: false)] } },
    "mirrored": { late(0, $0) { all, i in all[moved(i, up: false, across: true)] } },
    "turned by half": { late(0, $0) { all, i in all[moved(i, up: true, across: true)] } },
    "black from the second on": { late(1, $0) { _, _ in 0 } },
    "drift": { all in late(0, all) { last, i in last[i] * (1 + 0.04 * Float(all.count)) } },
]

private func late(_ count: Int, _ outputs: [[Float]], _ value: ([Float], Int) -> Float) -> [Float] {
    let last = outputs.last!
    return outputs.count <= count ? last : last.indices.map { value(last, $0) }
}

private func moved(_ i: Int, up: Bool, across: Bool) -> Int {
    let (y, x) = (i / classes / width, i / classes % width)
    let (row, column) = (up ? height - 1 - y : y, across ? width - 1 - x : x)
    return (row * width + column) * classes + i % classes
}

public struct Tensor { public let data: Data }

public protocol Delegate: AnyObject {
    typealias CDelegate = UnsafeMutablePointer<Int>
    var cDelegate: CDelegate { get }
}

public final class MetalDelegate: Delegate {
    public struct Options { public init() {} }
    public let cDelegate = CDelegate.allocate(capacity: 1)
    public init(options: Options = Options()) {}
}

public final class CoreMLDelegate: Delegate {
    public struct Options { public init() {} }
    public let cDelegate = CDelegate.allocate(capacity: 1)
    public init?(options: Options = Options()) {
        if variable("PROCESSORS") == "missing" { return nil }
    }
}

public enum InterpreterError: Error {
    case failedToCreateInterpreter
    case failedToAllocateTensors
    case invalidTensorDataCount(provided: Int, required: Int)
    case invokeInterpreterRequired
}

extension InterpreterError: LocalizedError {
    public var errorDescription: String? { "\(self)" }
}

public final class Interpreter {
    public struct Options {
        public var threadCount: Int?
        public var isXNNPackEnabled = false
        public init() {}
    }

    private let delegates: [Delegate]
    private var input = Data()
    private var result: Tensor?
    private var outputs: [[Float]] = []

    public convenience init(
        modelPath: String, options: Options? = nil, delegates: [Delegate]? = nil
    ) throws {
        let model = try Data(contentsOf: URL(fileURLWithPath: modelPath))
        try self.init(modelData: model, options: options, delegates: delegates)
    }

    public init(modelData: Data, options: Options? = nil, delegates: [Delegate]? = nil) throws {
        self.delegates = delegates ?? []
        precondition(options!.isXNNPackEnabled == self.delegates.isEmpty)
        if !self.delegates.isEmpty && variable("PROCESSORS") == "missing" {
            throw InterpreterError.failedToCreateInterpreter
        }
    }

    public func allocateTensors() throws {}

    @discardableResult
    public func copy(_ data: Data, toInputAt index: Int) throws -> Tensor {
        let required = try read("image.rgb").count
        if data.count != required && data.count != 4 * required {
            throw InterpreterError.invalidTensorDataCount(provided: data.count, required: required)
        }
        input = data
        return Tensor(data: data)
    }

    public func invoke() throws {
        let bytes = try asBytes(input)
        let known = try ["image", "photo"].first { name in
            zip(try read("\(name).rgb"), bytes).allSatisfy { abs(Float($0) - $1) <= 1.01 }
        }
        let isBytes = try read("image.out").count != 4 * read("image.rgb").count  // or class ids
        var values = try floats(read("\(known ?? "image").out"), isBytes)
        if known == nil { values = Array(values[7...] + values[..<7]).reversed() }
        if !delegates.isEmpty && variable("PROCESSORS") != "the CPU" {
            values[0] += isBytes ? (values[0] < 128 ? 1 : -1) : 1e-6
        }
        outputs.append(values)
        let isWrong = delegates.isEmpty != (variable("PROCESSORS") == "wrong")
        if isWrong, let name = variable("FAULT") { values = faults[name]!(outputs) }
        result = Tensor(data: data(values, isBytes))
    }

    private func floats(_ raw: Data, _ isBytes: Bool) -> [Float] {
        if isBytes { return raw.map { Float($0) } }
        return raw.withUnsafeBytes { raw in
            (0..<(raw.count / 4)).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
    }

    private func data(_ values: [Float], _ isBytes: Bool) -> Data {
        if isBytes { return Data(values.map { UInt8($0.isNaN ? 0 : min(max($0, 0), 255)) }) }
        return values.withUnsafeBytes { Data($0) }
    }

    public func output(at index: Int) throws -> Tensor {
        guard let result else { throw InterpreterError.invokeInterpreterRequired }
        return result
    }

    private func read(_ name: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: "\(variable("RECORDED")!)/\(name)"))
    }

    private func asBytes(_ tensor: Data) throws -> [Float] {
        if tensor.count == (try read("image.rgb").count) { return tensor.map { Float($0) } }
        return tensor.withUnsafeBytes { raw in
            (0..<(raw.count / 4)).map {
                (raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) + 1) * 127.5
            }
        }
    }
}
