"""Holds each line of stdin to the published schema of its class; prints what does not fit."""
import json
import sys

import ocsf_json_schema
from jsonschema import Draft202012Validator

for number, line in enumerate(sys.stdin, 1):
    event = json.loads(line)
    schemas = ocsf_json_schema.OcsfJsonSchemaEmbedded(ocsf_json_schema.get_ocsf_schema(event["metadata"]["version"]))
    name = schemas.lookup_class_name_from_uid(event["class_uid"])
    schema = schemas.get_class_schema(name, event["metadata"].get("profiles", []))
    for error in Draft202012Validator(schema).iter_errors(event):
        print(number, error.json_path, error.message[:200])
