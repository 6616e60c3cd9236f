// The parts of UIKit that the kit uses. An image is one of the kit's golden files: its pixels are
// in the folder RECORDED.
@_exported import QuartzCore

public final class UIImage: NSObject, @unchecked Sendable {
    public let size: CGSize
    public let scale: CGFloat = 1
    private let pixels: [UInt8]

    public init?(data: Data) {
        let folder = Bundle.main.resourceURL!.appendingPathComponent("golden")
        let name = ["image", "photo", "photo_mask"].first { name in
            (try? Data(contentsOf: folder.appendingPathComponent(name + ".png"))) == data
        }
        guard let name, let recorded = ProcessInfo.processInfo.environment["RECORDED"] else {
            return nil
        }
        pixels = [UInt8](try! Data(contentsOf: URL(fileURLWithPath: "\(recorded)/\(name).rgba")))
        let side = { (at: Int) in data[at..<(at + 4)].reduce(0) { $0 << 8 | Int($1) } }
        size = CGSize(width: side(16), height: side(20))  // of the PNG's header
    }

    public init(cgImage: CGImage) {
        size = CGSize(width: cgImage.width, height: cgImage.height)
        pixels = cgImage.dataProvider!.data!.bytes
    }

    public var imageRendererFormat: UIGraphicsImageRendererFormat { .init() }

    public func draw(at point: CGPoint) {}

    public func draw(in rect: CGRect) {
        guard let context = current else { return }
        precondition(rect.size == size && context.width * context.height * 4 == pixels.count)
        context.data!.copyMemory(from: pixels, byteCount: pixels.count)
    }
}

private nonisolated(unsafe) var current: CGContext?
public func UIGraphicsPushContext(_ context: CGContext) { current = context }
public func UIGraphicsPopContext() { current = nil }

public class UIGraphicsImageRendererFormat: NSObject {}
public class UIGraphicsImageRendererContext: NSObject {}

public class UIGraphicsImageRenderer: NSObject {
    public init(size: CGSize, format: UIGraphicsImageRendererFormat) {}
    public func image(actions: (UIGraphicsImageRendererContext) -> Void) -> UIImage {
        fatalError("nothing is rendered here")
    }
}

@MainActor
open class UIView {
    public let layer = CALayer()
    open var frame = CGRect.zero
    open var bounds = CGRect.zero
    public init() {}
    public init(frame: CGRect) {}
    public required init?(coder: NSCoder) {}
    open func addSubview(_ view: UIView) {}
    open func layoutSubviews() {}
}
