// The parts of Core Graphics and Core Foundation that the kit uses. CGRect is Foundation's.
@_exported import Foundation

public typealias CFIndex = Int
public typealias CFString = String
public final class CFAllocator {}

public final class CFData {
    public let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
}

public func CFDataCreate(
    _ allocator: CFAllocator!, _ bytes: UnsafePointer<UInt8>!, _ length: CFIndex
) -> CFData! {
    CFData([UInt8](UnsafeBufferPointer(start: bytes, count: length)))
}

public final class CGColorSpace {
    public class var sRGB: CFString { "sRGB" }
    public init?(name: CFString) {}
}

public enum CGImageAlphaInfo: UInt32, Sendable { case premultipliedLast = 1, noneSkipLast = 5 }

public struct CGBitmapInfo: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
}

public enum CGColorRenderingIntent: Int32, Sendable { case defaultIntent = 0 }
public enum CGInterpolationQuality: Int32, Sendable { case none = 1 }

public final class CGDataProvider {
    public let data: CFData?
    public init?(data: CFData) { self.data = data }
}

public final class CGImage {
    public let width: Int
    public let height: Int
    public let dataProvider: CGDataProvider?

    public init?(
        width: Int, height: Int, bitsPerComponent: Int, bitsPerPixel: Int, bytesPerRow: Int,
        space: CGColorSpace, bitmapInfo: CGBitmapInfo, provider: CGDataProvider,
        decode: UnsafePointer<CGFloat>?, shouldInterpolate: Bool, intent: CGColorRenderingIntent
    ) {
        self.width = width
        self.height = height
        dataProvider = provider
    }
}

public final class CGContext {
    public let data: UnsafeMutableRawPointer?
    public let width: Int
    public let height: Int
    public var interpolationQuality = CGInterpolationQuality.none

    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int,
        bytesPerRow: Int, space: CGColorSpace, bitmapInfo: UInt32
    ) {
        self.data = data
        self.width = width
        self.height = height
    }

    public func translateBy(x: CGFloat, y: CGFloat) {}
    public func scaleBy(x: CGFloat, y: CGFloat) {}
}
