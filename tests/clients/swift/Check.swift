// Runs a kit's Swift code on this computer, with the kit's files beside the program:
// check self-test PROCESSOR [stop] | check cases FOLDER | check live FOLDER |
// check smooth FOLDER COUNT.
import CoreVideo
import Foundation

func read(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

func write(_ bytes: [UInt8], _ path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}

func floats(_ path: String) throws -> [Float] {
    try read(path).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
}

/// Prints what runs the model and why it is not what was asked for, or the reason why nothing does.
func selfTest(_ processor: String, stopOnFault: Bool) async {
    do {
        let segmenter = try await Segmenter(
            on: Processor(rawValue: processor)!, stopOnFault: stopOnFault)
        print("processor: \(segmenter.processor.rawValue)")
        print("fallback: \(segmenter.fallback ?? "none")")
        print("fault: \(segmenter.fault ?? "none")")
    } catch {
        print("error: \(error.localizedDescription)")
        exit(1)
    }
}

/// Writes the result of each case to its name + ".found"; kotlin/Check.kt explains.
func cases(_ folder: String) throws {
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
        let parts = name.split(separator: ".")
        let size = parts[1].split(separator: "x").map { Int($0)! }
        let path = "\(folder)/\(name)"
        if parts[0] == "rgb" {
            var resizer = Resizer(width: size[0], height: size[1])
            try write(resizer.resize(read(path)), path + ".found")
        } else {
            let mask = Mask(logits: try floats(path), width: size[0], height: size[1])
            try write(mask.ids, path + ".found")
        }
    }
    print(Contract.labels.joined(separator: "\n"))
}

/// Writes what Live makes of the logits and of a frame: FOLDER/logits and FOLDER/frame.bgra, which
/// is twice as wide and high as the model's input and has 8 bytes more in each row.
func live(_ folder: String) async throws {
    let live = Live(try await Segmenter(), opacity: 0.25)
    let width = 2 * Contract.width
    let bytes = try read(folder + "/frame.bgra")
    let rows = (0..<(2 * Contract.height)).map { y in
        Array(bytes[(4 * width * y)..<(4 * width * (y + 1))]) + [UInt8](repeating: 9, count: 8)
    }
    var reader = FrameReader()
    let tensor = try reader.read(CVPixelBuffer(rows: rows, width: width))
    try write(tensor.withUnsafeBytes { [UInt8]($0) }, folder + "/tensor")
    _ = try await live.frame(tensor)
    try write(await live.ids, folder + "/frame.ids")
    let layer = await live.show(try floats(folder + "/logits"))
    try write(layer.dataProvider!.data!.bytes, folder + "/layer")
    try write(await live.ids, folder + "/ids")
    try write(await live.matte(1).dataProvider!.data!.bytes, folder + "/matte")
    try write(await live.mask(width: 170, height: 150).ids, folder + "/mask")
    do {
        _ = try reader.read(CVPixelBuffer(rows: rows, width: width, format: 875_704_438))
    } catch {
        print(error.localizedDescription)
    }
}

/// Runs Smooth on the frames of a folder, of which test_smooth.py writes logits and tensors.
func smooth(_ folder: String, _ count: Int) throws {
    var smooth = Smooth(hold: 1.5)
    var ids = [UInt8](
        repeating: UInt8(Contract.classes - 1), count: Contract.width * Contract.height)
    for number in 0..<count {
        var logits = try floats("\(folder)/logits\(number)")
        let tensor = try read("\(folder)/tensor\(number)").withUnsafeBytes {
            Array($0.bindMemory(to: Contract.Input.self))
        }
        smooth.add(&logits, tensor, ids)
        argmax(logits, into: &ids)
        try write(logits.withUnsafeBytes { [UInt8]($0) }, "\(folder)/found\(number)")
    }
}

let arguments = CommandLine.arguments
switch arguments[1] {
case "self-test": await selfTest(arguments[2], stopOnFault: arguments.last == "stop")
case "cases": try cases(arguments[2])
case "smooth": try smooth(arguments[2], Int(arguments[3])!)
default: try await live(arguments[2])
}
