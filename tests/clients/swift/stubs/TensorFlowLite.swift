// The parts of TensorFlowLiteSwift 2.17.0 that the kit uses. An interpreter does not read the
// model: it knows the outputs of the inputs in the folder RECORDED; of any other it makes zeros.
// PROCESSORS says what the GPU and Core ML are on this phone: right, missing, wrong or stale, which
// is to repeat the first output.
import Foundation

private func variable(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }

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
        if !delegates.isEmpty && variable("PROCESSORS") == "stale" && result != nil { return }
        let bytes = try asBytes(input)
        let wrong = !delegates.isEmpty && variable("PROCESSORS") == "wrong"
        let known = try ["image", "photo"].first { name in
            zip(try read("\(name).rgb"), bytes).allSatisfy { abs(Float($0) - $1) <= 1.01 }
        }
        let output = try read("\(known ?? "image").out")
        let answer = known == nil || wrong ? Data(count: output.count) : output
        result = Tensor(data: answer)
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
