"""What is spoken with a key management plugin, and the envelope that a value is stored in, as protobuf messages.

Made at run time from facts of the protocol: names, numbers and types of fields.

Source: Kubernetes' kms/apis/v2 (api.proto) and apiserver, storage/value/encrypt/envelope/kmsv2/v2 (api.proto).
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {"bytes": _Field.TYPE_BYTES, "string": _Field.TYPE_STRING, "int32": _Field.TYPE_INT32}
_PACKAGE = "k8slite.kms"
_MESSAGES = {
    "StatusRequest": "",
    "StatusResponse": "version 1 string, healthz 2 string, key_id 3 string",
    "EncryptRequest": "plaintext 1 bytes, uid 2 string",
    "EncryptResponse": "ciphertext 1 bytes, key_id 2 string, annotations 3 map",
    "DecryptRequest": "ciphertext 1 bytes, uid 2 string, key_id 3 string, annotations 4 map",
    "DecryptResponse": "plaintext 1 bytes",
    "EncryptedObject": "data 1 bytes, key_id 2 string, source 3 bytes, annotations 4 map, source_type 5 int32",
}
AES_GCM_KEY, HKDF_SEED = 0, 1
"""What `source` is once it is decrypted: the key itself, or a seed from which each value has a key of its own."""


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="k8slite/kms.proto", package=_PACKAGE, syntax="proto3")
    for name, rows in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for row in filter(None, rows.split(", ")):
            field_name, number, kind = row.split()
            field = message.field.add(name=field_name, number=int(number), label=_Field.LABEL_OPTIONAL)
            if kind != "map":
                field.type = _TYPES[kind]
                continue
            entry = message.nested_type.add(name=f"{field_name.title()}Entry")
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
            entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_BYTES)
            field.label, field.type = _Field.LABEL_REPEATED, _Field.TYPE_MESSAGE
            field.type_name = f".{_PACKAGE}.{name}.{entry.name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


MESSAGES: dict[str, Any] = _build()
EncryptedObject: Any = MESSAGES["EncryptedObject"]
METHODS = {name: f"/v2.KeyManagementService/{name}" for name in ("Status", "Encrypt", "Decrypt")}
