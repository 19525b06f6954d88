/** Uploads: `createUpload` returns an address, and the bytes are sent there. */
import { CREATE_UPLOAD } from "./documents.js";
import { connectionLost, fromResponse, RoomcastError, type ResponseError } from "./errors.js";
import type { Roomcast } from "./roomcast.js";

export interface UploadOptions {
  signal?: AbortSignal;
  /** Called with the share that has been sent, from 0 to 1. Only in browsers. */
  onProgress?(share: number): void;
}

interface CreatedUpload {
  createUpload: { uploadId: string; uploadUrl: string; headers: readonly { name: string; value: string }[] };
}

/** Returns the id for `attachmentIds`. Throws RoomcastError; `ABORTED` when the signal was. */
export async function upload(
  roomcast: Roomcast,
  file: Blob & { name?: string },
  options: UploadOptions = {},
): Promise<string> {
  const input = {
    filename: file.name ?? "file",
    contentType: file.type || "application/octet-stream",
    byteSize: file.size,
  };
  const { createUpload } = await roomcast.execute<CreatedUpload>(CREATE_UPLOAD, { input });
  const url = new URL(createUpload.uploadUrl, roomcast.url).href;
  const headers = Object.fromEntries(createUpload.headers.map(({ name, value }) => [name, value]));
  const send = typeof XMLHttpRequest === "undefined" ? sendByFetch : sendByRequest;
  const { status, text } = await send(url, headers, file, options);
  if (status !== 200) throw refusal(status, text);
  return createUpload.uploadId;
}

type Answer = { status: number; text: string };
type Headers = Record<string, string>;

/** `fetch` does not report the progress of an upload. */
function sendByRequest(
  url: string,
  headers: Headers,
  file: Blob,
  { signal, onProgress }: UploadOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress?.(total ? loaded / total : 0);
    request.onload = () => resolve({ status: request.status, text: request.responseText });
    request.onerror = () => reject(connectionLost("the upload was cut off"));
    request.onabort = () => reject(aborted());
    if (signal?.aborted) return reject(aborted());
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

async function sendByFetch(url: string, headers: Headers, file: Blob, { signal }: UploadOptions): Promise<Answer> {
  try {
    const response = await fetch(url, { method: "PUT", headers, body: file, ...(signal && { signal }) });
    return { status: response.status, text: await response.text() };
  } catch (cause) {
    throw signal?.aborted ? aborted() : connectionLost(cause);
  }
}

function aborted(): RoomcastError {
  return new RoomcastError("ABORTED", "The upload was cancelled.");
}

/** The upload endpoint answers with errors in the format of GraphQL. */
function refusal(status: number, text: string): RoomcastError {
  try {
    const [error] = (JSON.parse(text) as { errors: [ResponseError] }).errors;
    return fromResponse(error);
  } catch {
    return new RoomcastError("CONNECTION_LOST", `status ${status}, and no answer of roomcast`, { isRetryable: true });
  }
}
