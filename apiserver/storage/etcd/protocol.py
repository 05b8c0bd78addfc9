"""The part of etcd's v3 protocol that the store speaks, as protobuf messages made at run time from a table.

No client library fits: `etcd3` cannot be imported with current protobuf, `aetcd` knows one endpoint only. The table
holds facts of the protocol: names, numbers and types of fields. What is not in it is left out of requests and ignored
in answers, as protobuf allows.

Source: the etcd v3 API reference (rpc.proto and kv.proto of etcd 3.4).
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "k8slite.etcd"

# Message -> "name number type"; a trailing * repeats, a leading ? makes it a member of the message's one oneof.
_MESSAGES = {
    "KeyValue": "key 1 bytes, create_revision 2 int64, mod_revision 3 int64, version 4 int64, value 5 bytes",
    "Event": "type 1 int64, kv 2 KeyValue, prev_kv 3 KeyValue",
    "ResponseHeader": "cluster_id 1 uint64, member_id 2 uint64, revision 3 int64, raft_term 4 uint64",
    "RangeRequest": "key 1 bytes, range_end 2 bytes, limit 3 int64, revision 4 int64, keys_only 8 bool, "
    "count_only 9 bool",
    "RangeResponse": "header 1 ResponseHeader, kvs 2 KeyValue*, more 3 bool, count 4 int64",
    "PutRequest": "key 1 bytes, value 2 bytes",
    "PutResponse": "header 1 ResponseHeader",
    "DeleteRangeRequest": "key 1 bytes, range_end 2 bytes, prev_kv 3 bool",
    "DeleteRangeResponse": "header 1 ResponseHeader, deleted 2 int64, prev_kvs 3 KeyValue*",
    "RequestOp": "?request_range 1 RangeRequest, ?request_put 2 PutRequest, ?request_delete_range 3 DeleteRangeRequest",
    "ResponseOp": "?response_range 1 RangeResponse, ?response_put 2 PutResponse, "
    "?response_delete_range 3 DeleteRangeResponse",
    "Compare": "result 1 int64, target 2 int64, key 3 bytes, ?version 4 int64, ?mod_revision 6 int64",
    "TxnRequest": "compare 1 Compare*, success 2 RequestOp*, failure 3 RequestOp*",
    "TxnResponse": "header 1 ResponseHeader, succeeded 2 bool, responses 3 ResponseOp*",
    "CompactionRequest": "revision 1 int64, physical 2 bool",
    "CompactionResponse": "header 1 ResponseHeader",
    "WatchCreateRequest": "key 1 bytes, range_end 2 bytes, start_revision 3 int64, progress_notify 4 bool, "
    "prev_kv 6 bool",
    "WatchRequest": "?create_request 1 WatchCreateRequest",
    "WatchResponse": "header 1 ResponseHeader, watch_id 2 int64, created 3 bool, canceled 4 bool, "
    "compact_revision 5 int64, cancel_reason 6 string, events 11 Event*",
}

# Enumerations, which travel as plain integers.
COMPARE_EQUAL = 0
COMPARE_GREATER = 1
COMPARE_LESS = 2
TARGET_VERSION = 0
TARGET_MOD = 2
EVENT_DELETE = 1

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bytes": _Field.TYPE_BYTES,
    "string": _Field.TYPE_STRING,
    "bool": _Field.TYPE_BOOL,
    "int64": _Field.TYPE_INT64,
    "uint64": _Field.TYPE_UINT64,
}


def _add(message: Any, row: str) -> None:
    name, number, kind = row.split()
    member, name = name.startswith("?"), name.lstrip("?")
    repeated, kind = kind.endswith("*"), kind.rstrip("*")
    field = message.field.add(name=name, number=int(number))
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    if member:
        if not message.oneof_decl:
            message.oneof_decl.add(name="choice")
        field.oneof_index = 0


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="k8slite/etcd.proto", package=_PACKAGE, syntax="proto3")
    for name, rows in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for row in rows.split(","):
            _add(message, row.strip())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES = _build()

Compare: Any = _CLASSES["Compare"]
CompactionRequest: Any = _CLASSES["CompactionRequest"]
DeleteRangeRequest: Any = _CLASSES["DeleteRangeRequest"]
PutRequest: Any = _CLASSES["PutRequest"]
RangeRequest: Any = _CLASSES["RangeRequest"]
RequestOp: Any = _CLASSES["RequestOp"]
TxnRequest: Any = _CLASSES["TxnRequest"]
WatchCreateRequest: Any = _CLASSES["WatchCreateRequest"]
WatchRequest: Any = _CLASSES["WatchRequest"]

METHODS = {
    "Range": ("/etcdserverpb.KV/Range", _CLASSES["RangeResponse"]),
    "Put": ("/etcdserverpb.KV/Put", _CLASSES["PutResponse"]),
    "Txn": ("/etcdserverpb.KV/Txn", _CLASSES["TxnResponse"]),
    "Compact": ("/etcdserverpb.KV/Compact", _CLASSES["CompactionResponse"]),
}
"""Unary calls: path, and the class of the answer."""

WATCH = ("/etcdserverpb.Watch/Watch", _CLASSES["WatchResponse"])
