// The document as validators: which schema an answer must fit, and whether it does.
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

// The document leaves objects open, so that fields may be added later; here they are closed, so
// that a field which is answered and not described is found.
function close(schema) {
  if (Array.isArray(schema)) return schema.forEach(close);
  if (schema === null || typeof schema !== "object") return;
  if (schema.properties && schema.additionalProperties === undefined)
    schema.additionalProperties = false;
  Object.values(schema).forEach(close);
}

export function contract(document) {
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  const root = { ...structuredClone(document), $id: "doc" };
  close(root.components.schemas);
  ajv.addSchema(root, "doc", false, false);

  const deref = (node) =>
    node?.$ref ? node.$ref.slice(2).split("/").reduce((at, key) => at[key], root) : node;

  // Throws unless status, headers and body of the answer are what the operation says.
  function check(method, path, answer) {
    const operation = root.paths[path]?.[method];
    if (!operation) throw new Error(`${method} ${path} is not described`);
    const response = deref(operation.responses[answer.status]);
    if (!response) throw new Error(`${method} ${path}: ${answer.status} is not described`);
    const media = response.content?.[answer.type];
    if (!media) throw new Error(`${method} ${path} ${answer.status}: ${answer.type}`);
    for (const name of answer.headers) {
      const known = Object.keys(response.headers ?? {}).map((key) => key.toLowerCase());
      const ours = /^(x-sluice-|x-ratelimit-|retry-after|x-should|location|idempotent)/.test(name);
      if (ours && !known.includes(name))
        throw new Error(`${method} ${path} ${answer.status}: header ${name} is not described`);
    }
    if (answer.type !== "application/json") return;
    const schema = rebase(media.schema);
    const validate = ajv.compile(schema);
    if (!validate(answer.body)) {
      const errors = ajv.errorsText(validate.errors, { separator: "\n  " });
      throw new Error(`${method} ${path} ${answer.status}:\n  ${errors}`);
    }
  }
  return { check };
}

function rebase(schema) {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"doc#/'));
}
