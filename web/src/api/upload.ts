/** A file on its way: a ticket from GraphQL, then its bytes to the address that the ticket names. */
import type { Client } from "@urql/core";
import { NewUpload } from "./messageChanges";
import { act, Refusal } from "./refusal";

export interface Progress {
  signal: AbortSignal;
  onProgress(share: number): void;
}

/** The id to send the file by. Raises Refusal. */
export async function upload(client: Client, file: File, progress: Progress): Promise<string> {
  const input = { filename: file.name, contentType: file.type || "application/octet-stream", byteSize: file.size };
  const ticket = await act(client, NewUpload, { input });
  if (!ticket.uploadId || !ticket.uploadUrl) throw new Refusal("The server gave no ticket.", "INTERNAL", true);
  await put(ticket.uploadUrl, ticket.headers ?? [], file, progress);
  return ticket.uploadId;
}

/** XMLHttpRequest and not fetch: only it tells how much has been sent. */
function put(
  url: string,
  headers: readonly { name: string; value: string }[],
  file: File,
  { signal, onProgress }: Progress,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    for (const { name, value } of headers) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onload = () => (request.status === 200 ? resolve() : reject(refused(request.responseText)));
    request.onerror = () => reject(new Refusal("The file did not arrive.", "UNREACHABLE", true));
    request.onabort = () => reject(new Refusal("Taken back.", "ABORTED", false));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** The endpoint answers in the shape of GraphQL's errors. */
function refused(text: string): Refusal {
  try {
    const [error] = (JSON.parse(text) as { errors: [{ message: string; extensions: { code: string } }] }).errors;
    return new Refusal(error.message, error.extensions.code, false);
  } catch {
    return new Refusal("The file was not taken.", "INTERNAL", true);
  }
}
