// The parts of Core Animation that the kit uses.
@_exported import CoreGraphics

open class CALayer: NSObject {
    open var frame = CGRect.zero
    open var contents: Any?
    open func addSublayer(_ layer: CALayer) {}
}
