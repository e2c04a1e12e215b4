#!/usr/bin/env python3
"""Verifies an exported audit log: a second verifier, which shares no code with Keyway.

    verify_audit.py EXPORT KEY [EARLIER_CHECKPOINT]

EXPORT is the file that `keyway audit export` writes, KEY the log's public key
(`name+hash+base64`), EARLIER_CHECKPOINT a file with a checkpoint that was kept
from before. Needs Python 3 and nothing else. Exits with 0 if all holds, and
else with 1 and the first line that does not.
"""

import base64
import hashlib
import json
import sys

# --- Ed25519 (RFC 8032, section 5.1.7), slow and obvious ---------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def x_of(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign else x


def add(a, b):
    t = (a[1] - a[0]) * (b[1] - b[0]) % P
    u = (a[1] + a[0]) * (b[1] + b[0]) % P
    v = 2 * a[3] * b[3] * D % P
    w = 2 * a[2] * b[2] % P
    e, f, g, h = u - t, w - v, w + v, u + t
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, point):
    sum_ = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            sum_ = add(sum_, point)
        point = add(point, point)
        scalar >>= 1
    return sum_


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x = x_of(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = x_of(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def signature_holds(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r = decompress(public), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(digest, "little") % L
    left, right = times(s, BASE), add(r, times(k, a))
    same_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    same_y = (left[1] * right[2] - right[1] * left[2]) % P == 0
    return same_x and same_y


# --- the formats -------------------------------------------------------------


class Wrong(Exception):
    pass


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def parse_key(text):
    name, hash_, encoded = text.strip().split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    key_id = sha256(name.encode(), b"\n", raw)[:4]
    if raw[:1] != b"\x01" or len(raw) != 33 or key_id.hex() != hash_:
        raise Wrong("not an Ed25519 verifier key")
    return name, key_id, raw[1:]


def open_checkpoint(note, key):
    name, key_id, public = key
    text, blank, signatures = note.rpartition("\n\n")
    text += "\n"
    if not blank:
        raise Wrong("the checkpoint is not a signed note")
    for line in signatures.splitlines():
        dash, who, encoded = line.split(" ")
        raw = base64.b64decode(encoded, validate=True)
        if (dash, who, raw[:4]) == ("\u2014", name, key_id):
            if not signature_holds(public, text.encode(), raw[4:]):
                raise Wrong("the checkpoint's signature does not hold")
            origin, size, root = text.splitlines()[:3]
            if origin != name:
                raise Wrong("the checkpoint is of another log")
            return int(size), base64.b64decode(root, validate=True)
    raise Wrong("the checkpoint is not signed by this key")


class Tree:
    """RFC 6962: the roots of the full subtrees, the largest first."""

    def __init__(self, size, roots):
        if bin(size).count("1") != len(roots):
            raise Wrong("`before` does not fit `from`")
        self.size, self.roots = size, roots

    def push(self, leaf):
        below = self.size
        while below & 1:
            leaf = sha256(b"\x01", self.roots.pop(), leaf)
            below >>= 1
        self.roots.append(leaf)
        self.size += 1

    def root(self):
        if not self.roots:
            return sha256()
        right = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            right = sha256(b"\x01", left, right)
        return right


def leaf_of(line, tenant):
    """The leaf, from what people read. The record is hashed byte for byte, so
    it is cut out of the line and not encoded again."""
    fields = json.loads(line)
    if "erased" in fields:
        content = bytes.fromhex(fields["erased"])
    else:
        start = line.index(',"record":') + len(',"record":')
        record = line[start:-1]
        if json.loads(record) != fields["record"] or not line.endswith("}"):
            raise Wrong("the record is not the last field of its line")
        content = sha256(bytes.fromhex(fields["salt"]), record.encode())
    words = ["keyway audit 1", tenant, fields["environment"], fields["kind"], fields["time"], fields["id"]]
    header = "".join(word + "\n" for word in words)
    leaf = sha256(b"\x00", header.encode(), content, bytes.fromhex(fields["envelope"]))
    return fields["sequence"], leaf, bytes.fromhex(fields["leaf"])


def verify(text, key_text, earlier_note=None):
    key = parse_key(key_text)
    earlier = open_checkpoint(earlier_note, key) if earlier_note else None
    lines = text.split("\n")[:-1]
    if len(lines) < 2:
        raise Wrong("line 1: not an export")
    head, tail = json.loads(lines[0]), json.loads(lines[-1])
    if head["format"] != "keyway-audit-1":
        raise Wrong("line 1: another format")
    if f"keyway/{head['deployment']}/{head['tenant']}" != key[0]:
        raise Wrong("line 1: the export is of another log than the key")
    tree = Tree(head["from"], [bytes.fromhex(root) for root in head["before"]])
    if earlier and earlier[0] < tree.size:
        raise Wrong("line 1: the export begins after the earlier checkpoint")
    for number, line in enumerate(lines[1:-1], start=2):
        if earlier and earlier[0] == tree.size and earlier[1] != tree.root():
            raise Wrong(f"line {number}: the log does not go on from the earlier checkpoint")
        try:
            sequence, leaf, stated = leaf_of(line, head["tenant"])
        except (ValueError, KeyError, TypeError) as error:
            raise Wrong(f"line {number}, record {tree.size}: not a record ({error})") from error
        if sequence != tree.size:
            raise Wrong(f"line {number}: record {tree.size} should stand here, and {sequence} does")
        if leaf != stated:
            raise Wrong(f"line {number}, record {sequence}: changed, it does not hash to its leaf")
        tree.push(leaf)
    size, root = open_checkpoint(tail["checkpoint"], key)
    if size != tree.size:
        raise Wrong(f"line {len(lines)}: the checkpoint covers {size} records, and the export ends after {tree.size}")
    if root != tree.root():
        raise Wrong(f"line {len(lines)}: the records do not give the root that was signed")
    if earlier and (earlier[0] > size or (earlier[0] == size and earlier[1] != root)):
        raise Wrong(f"line {len(lines)}: the log does not go on from the earlier checkpoint")
    return size, len(lines) - 2


def main(arguments):
    if len(arguments) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    texts = []
    for path in arguments[:1] + arguments[2:]:
        with open(path, encoding="utf-8", newline="") as file:
            texts.append(file.read())
    try:
        size, records = verify(texts[0], arguments[1], *texts[1:])
    except (Wrong, ValueError, KeyError, TypeError, IndexError) as error:
        print(f"does not hold: {error}", file=sys.stderr)
        return 1
    print(f"holds: {records} records; the checkpoint covers {size}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
