// The parts of AVFoundation and Core Media that the kit uses. Nothing runs: there is no camera.
@_exported import CoreVideo
@_exported import Dispatch
@_exported import QuartzCore

public class CMSampleBuffer {}
public func CMSampleBufferGetImageBuffer(_ buffer: CMSampleBuffer) -> CVImageBuffer? { nil }

public struct AVMediaType: Equatable, Sendable {
    let name: String
    public static let video = AVMediaType(name: "video")
}

public class AVCaptureDevice: NSObject {
    public enum Position: Int, Sendable { case unspecified, back, front }

    public struct DeviceType: Equatable, Sendable {
        let name: String
        public static let builtInWideAngleCamera = DeviceType(name: "wide")
    }

    public class func `default`(
        _ deviceType: DeviceType, for mediaType: AVMediaType?, position: Position
    ) -> AVCaptureDevice? { nil }

    public class func requestAccess(for mediaType: AVMediaType) async -> Bool { false }
}

public class AVCaptureInput: NSObject {}

public class AVCaptureDeviceInput: AVCaptureInput {
    public init(device: AVCaptureDevice) throws {}
}

public class AVCaptureConnection: NSObject {
    public var videoRotationAngle: CGFloat = 0
    public var videoOrientation = AVCaptureVideoOrientation.portrait
    public var automaticallyAdjustsVideoMirroring = true
    public var isVideoMirrored = false
}

public enum AVCaptureVideoOrientation: Int, Sendable { case portrait = 1 }

public class AVCaptureOutput: NSObject {
    public func connection(with mediaType: AVMediaType) -> AVCaptureConnection? { nil }
}

public protocol AVCaptureVideoDataOutputSampleBufferDelegate: NSObjectProtocol {
    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
        from connection: AVCaptureConnection)
}

public class AVCaptureVideoDataOutput: AVCaptureOutput {
    public var videoSettings: [String: Any]!
    public func setSampleBufferDelegate(
        _ delegate: (any AVCaptureVideoDataOutputSampleBufferDelegate)?, queue: DispatchQueue?
    ) {}
}

public class AVCaptureSession: NSObject {
    public struct Preset: Equatable, Sendable {
        public static let hd1280x720 = Preset()
    }

    public var sessionPreset = Preset.hd1280x720
    public var inputs: [AVCaptureInput] { [] }
    public var outputs: [AVCaptureOutput] { [] }
    public func addInput(_ input: AVCaptureInput) {}
    public func removeInput(_ input: AVCaptureInput) {}
    public func addOutput(_ output: AVCaptureOutput) {}
    public func beginConfiguration() {}
    public func commitConfiguration() {}
    public func startRunning() {}
    public func stopRunning() {}
}

public class AVCaptureVideoPreviewLayer: CALayer {
    public init(session: AVCaptureSession) {}
    public func layerRectConverted(fromMetadataOutputRect rect: CGRect) -> CGRect { rect }
}
