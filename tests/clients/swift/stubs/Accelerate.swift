// The part of vImage that the kit uses. It takes the nearest pixels, vImage a Lanczos filter.
public typealias vImagePixelCount = UInt
public typealias vImage_Error = Int
public typealias vImage_Flags = UInt32

public var kvImageNoFlags: Int { 0 }
public var kvImageGetTempBufferSize: Int { 128 }
public var kvImageNoError: Int { 0 }

public struct vImage_Buffer {
    public var data: UnsafeMutableRawPointer!
    public var height: vImagePixelCount
    public var width: vImagePixelCount
    public var rowBytes: Int

    public init(
        data: UnsafeMutableRawPointer!, height: vImagePixelCount, width: vImagePixelCount,
        rowBytes: Int
    ) {
        self.data = data
        self.height = height
        self.width = width
        self.rowBytes = rowBytes
    }
}

@discardableResult
public func vImageScale_ARGB8888(
    _ src: UnsafePointer<vImage_Buffer>, _ dest: UnsafePointer<vImage_Buffer>,
    _ tempBuffer: UnsafeMutableRawPointer!, _ flags: vImage_Flags
) -> vImage_Error {
    let needed = Int(src.pointee.width) * 4
    if Int(flags) & kvImageGetTempBufferSize != 0 { return needed }
    tempBuffer.initializeMemory(as: UInt8.self, repeating: 7, count: needed)
    let (from, to) = (src.pointee, dest.pointee)
    for y in 0..<to.height {
        for x in 0..<to.width {
            let row = Int((2 * y + 1) * from.height / (2 * to.height))
            let column = Int((2 * x + 1) * from.width / (2 * to.width))
            let pixel = from.data.load(
                fromByteOffset: row * from.rowBytes + column * 4, as: UInt32.self)
            to.data.storeBytes(
                of: pixel, toByteOffset: Int(y) * to.rowBytes + Int(x) * 4, as: UInt32.self)
        }
    }
    return kvImageNoError
}
