// The parts of Core Video that the kit uses. A test makes the pixel buffers.
@_exported import CoreGraphics

public typealias CVReturn = Int32
public typealias OSType = UInt32
public typealias CVImageBuffer = CVBuffer
public typealias CVPixelBuffer = CVImageBuffer

public let kCVPixelFormatType_32BGRA: OSType = 0x4247_5241
public let kCVPixelBufferPixelFormatTypeKey: CFString = "PixelFormatType"

public struct CVPixelBufferLockFlags: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static let readOnly = CVPixelBufferLockFlags(rawValue: 1)
}

public class CVBuffer {
    let width: Int
    let height: Int
    let bytesPerRow: Int
    let format: OSType
    let bytes: UnsafeMutableRawPointer
    var locks = 0

    /// rows: of B, G, R, A bytes; each may have others at its end.
    public init(rows: [[UInt8]], width: Int, format: OSType = kCVPixelFormatType_32BGRA) {
        self.width = width
        height = rows.count
        bytesPerRow = rows[0].count
        self.format = format
        bytes = .allocate(byteCount: rows.count * rows[0].count, alignment: 16)
        bytes.copyMemory(from: rows.flatMap { $0 }, byteCount: rows.count * rows[0].count)
    }

    deinit {
        precondition(locks == 0, "a pixel buffer is still locked")
        bytes.deallocate()
    }
}

@discardableResult
public func CVPixelBufferLockBaseAddress(
    _ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags
) -> CVReturn {
    buffer.locks += 1
    return 0
}

@discardableResult
public func CVPixelBufferUnlockBaseAddress(
    _ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags
) -> CVReturn {
    buffer.locks -= 1
    return 0
}

public func CVPixelBufferGetBaseAddress(_ buffer: CVPixelBuffer) -> UnsafeMutableRawPointer? {
    precondition(buffer.locks > 0, "a pixel buffer is not locked")
    return buffer.bytes
}

public func CVPixelBufferGetWidth(_ buffer: CVPixelBuffer) -> Int { buffer.width }
public func CVPixelBufferGetHeight(_ buffer: CVPixelBuffer) -> Int { buffer.height }
public func CVPixelBufferGetBytesPerRow(_ buffer: CVPixelBuffer) -> Int { buffer.bytesPerRow }
public func CVPixelBufferGetPixelFormatType(_ buffer: CVPixelBuffer) -> OSType { buffer.format }
