// SHA-256 after FIPS 180-4.
import Foundation

public struct SHA256Digest: Sequence, Sendable {
    let bytes: [UInt8]
    public func makeIterator() -> Array<UInt8>.Iterator { bytes.makeIterator() }
}

public struct SHA256 {
    public static func hash<D: DataProtocol>(data: D) -> SHA256Digest {
        let length = UInt64(data.count) * 8
        var bytes = [UInt8](data) + [0x80]
        bytes += [UInt8](repeating: 0, count: (120 - bytes.count % 64) % 64)
        bytes += (0..<8).map { UInt8(truncatingIfNeeded: length >> (56 - 8 * $0)) }
        var state = roots(squares: true)
        for start in stride(from: 0, to: bytes.count, by: 64) {
            mix(bytes[start..<(start + 64)], into: &state)
        }
        return SHA256Digest(bytes: state.flatMap { word in
            (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * $0)) }
        })
    }

    private static let constants = roots(squares: false)

    /// The first 32 bits of the fractions of square roots of 8, or of cube roots of 64 primes.
    private static func roots(squares: Bool) -> [UInt32] {
        let primes = (2...311).filter { n in !(2..<n).contains { n % $0 == 0 } }
        return primes.prefix(squares ? 8 : 64).map { prime in
            let root = squares ? sqrt(Double(prime)) : cbrt(Double(prime))
            return UInt32(root.truncatingRemainder(dividingBy: 1) * 0x1p32)
        }
    }

    private static func mix(_ block: ArraySlice<UInt8>, into state: inout [UInt32]) {
        func turned(_ x: UInt32, _ n: UInt32) -> UInt32 { x >> n | x << (32 - n) }
        let raw = Array(block)
        var w = (0..<16).map { i in
            raw[(4 * i)..<(4 * i + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
        for i in 16..<64 {
            let low = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3
            let high = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10
            w.append(w[i - 16] &+ low &+ w[i - 7] &+ high)
        }
        var s = state
        for i in 0..<64 {
            let high = turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25)
            let chosen = s[4] & s[5] ^ ~s[4] & s[6]
            let first = s[7] &+ high &+ chosen &+ constants[i] &+ w[i]
            let low = turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22)
            let most = s[0] & s[1] ^ s[0] & s[2] ^ s[1] & s[2]
            s = [first &+ low &+ most, s[0], s[1], s[2], s[3] &+ first, s[4], s[5], s[6]]
        }
        for i in 0..<8 { state[i] = state[i] &+ s[i] }
    }
}
