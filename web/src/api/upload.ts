/** A file on its way: a ticket from GraphQL, then its bytes to the address that the ticket names. */
import type { Client } from "@urql/core";
import { CreateUpload } from "./messageMutations";
import { runMutation, RequestError } from "./request";

export interface UploadOptions {
  signal: AbortSignal;
  onProgress(share: number): void;
}

/** The id to send the file by. Raises Refusal. */
export async function uploadFile(client: Client, file: File, progress: UploadOptions): Promise<string> {
  const input = { filename: file.name, contentType: file.type || "application/octet-stream", byteSize: file.size };
  const created = await runMutation(client, CreateUpload, { input });
  if (!created.uploadId || !created.uploadUrl) throw new RequestError("The server gave no ticket.", "INTERNAL", true);
  await putFile(created.uploadUrl, created.headers ?? [], file, progress);
  return created.uploadId;
}

/** XMLHttpRequest and not fetch: only it tells how much has been sent. */
function putFile(
  url: string,
  headers: readonly { name: string; value: string }[],
  file: File,
  { signal, onProgress }: UploadOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    for (const { name, value } of headers) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onload = () => (request.status === 200 ? resolve() : reject(responseError(request.responseText)));
    request.onerror = () => reject(new RequestError("The file did not arrive.", "UNREACHABLE", true));
    request.onabort = () => reject(new RequestError("Taken back.", "ABORTED", false));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** The endpoint answers in the shape of GraphQL's errors. */
function responseError(text: string): RequestError {
  try {
    const [error] = (JSON.parse(text) as { errors: [{ message: string; extensions: { code: string } }] }).errors;
    return new RequestError(error.message, error.extensions.code, false);
  } catch {
    return new RequestError("The file was not taken.", "INTERNAL", true);
  }
}
