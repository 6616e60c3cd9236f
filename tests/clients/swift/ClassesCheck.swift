// Runs the Swift code of a kit whose network gives classes, with the kit's files beside the program:
// check self-test PROCESSOR | check masks FOLDER.
import Foundation

func read(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

func write(_ bytes: [UInt8], _ path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}

func selfTest(_ processor: String) async {
    do {
        let segmenter = try await Segmenter(on: Processor(rawValue: processor)!)
        print("processor: \(segmenter.processor.rawValue)")
        print("fallback: \(segmenter.fallback ?? "none")")
        print("fault: \(segmenter.fault ?? "none")")
    } catch {
        print("error: \(error.localizedDescription)")
        exit(1)
    }
}

/// Writes the mask of FOLDER/ids at each size WxH in FOLDER/sizes, and what Live makes of it.
func masks(_ folder: String) async throws {
    let ids = try read(folder + "/ids")
    let sizes = try String(contentsOfFile: folder + "/sizes", encoding: .utf8)
    for line in sizes.split(separator: "\n") {
        let size = line.split(separator: "x").map { Int($0)! }
        let mask = Mask(classes: ids, width: size[0], height: size[1])
        try write(mask.ids, "\(folder)/\(line).found")
    }
    let live = Live(try await Segmenter(), opacity: 1)
    let layer = await live.show(ids)
    try write(await live.ids, folder + "/live.found")
    let pixels = layer.dataProvider!.data!.bytes.prefix(12)
    print(pixels.map { String(format: "%02x", $0) }.joined())
}

let arguments = CommandLine.arguments
if arguments[1] == "masks" {
    try await masks(arguments[2])
} else {
    await selfTest(arguments[2])
}
