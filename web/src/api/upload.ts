/** Uploads a file: `createUpload` returns an address, and the bytes are sent there by PUT. */
import type { Client } from "@urql/core";
import { CreateUpload } from "./messageMutations";
import { errorText, RequestError, runMutation } from "./request";

export interface UploadOptions {
  signal: AbortSignal;
  /** Called with the share that has been sent, from 0 to 1. */
  onProgress(progress: number): void;
}

/** Returns the id of the attachment. Throws RequestError. */
export async function uploadFile(client: Client, file: File, options: UploadOptions): Promise<string> {
  const input = { filename: file.name, contentType: file.type || "application/octet-stream", byteSize: file.size };
  const created = await runMutation(client, CreateUpload, { input });
  if (!created.uploadId || !created.uploadUrl)
    throw new RequestError("The server did not accept the file.", "INTERNAL", true);
  await putFile(created.uploadUrl, created.headers ?? [], file, options);
  return created.uploadId;
}

/** With XMLHttpRequest, because fetch does not report the progress of an upload. */
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
    request.onerror = () =>
      reject(new RequestError("The file was not uploaded. Check your connection and try again.", "UNREACHABLE", true));
    request.onabort = () => reject(new RequestError("The upload was cancelled.", "ABORTED", false));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** The upload endpoint answers with errors in the format of GraphQL. */
function responseError(text: string): RequestError {
  try {
    const [error] = (JSON.parse(text) as { errors: [{ message: string; extensions: { code: string } }] }).errors;
    const { code } = error.extensions;
    return new RequestError(errorText(code, error.message), code, false);
  } catch {
    return new RequestError("The server did not accept the file.", "INTERNAL", true);
  }
}
