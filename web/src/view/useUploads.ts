/** The files of the message that is being written. Their upload starts when they are added. */
import type { Client } from "@urql/core";
import { useState } from "preact/hooks";
import { errorMessage } from "../api/request";
import { uploadFile } from "../api/upload";
import type { AttachedFile } from "../state/outbox";

export interface Uploading {
  key: number;
  file: File;
  /** The share that has been uploaded, from 0 to 1. */
  progress: number;
  /** The id of the attachment; null until the upload is complete. */
  id: string | null;
  error: string | null;
  abort: AbortController;
}

export interface Uploads {
  files: readonly Uploading[];
  isReady: boolean;
  hasFailed: boolean;
  add(files: readonly File[]): void;
  remove(key: number): void;
  uploaded(): AttachedFile[];
  clear(): void;
}

/** The maximum number of files of one message. */
const MAX_FILES = 10;
let lastKey = 0;

export function useUploads(client: Client): Uploads {
  const [files, setFiles] = useState<readonly Uploading[]>([]);
  const updateFile = (key: number, update: Partial<Uploading>) =>
    setFiles((all) => all.map((one) => (one.key === key ? { ...one, ...update } : one)));

  const start = (file: File): Uploading => {
    const key = ++lastKey;
    const abort = new AbortController();
    uploadFile(client, file, { signal: abort.signal, onProgress: (progress) => updateFile(key, { progress }) }).then(
      (id) => updateFile(key, { id, progress: 1 }),
      (caught: unknown) => updateFile(key, { error: errorMessage(caught) }),
    );
    return { key, file, progress: 0, id: null, error: null, abort };
  };
  return {
    files,
    isReady: files.every(({ id }) => id !== null),
    hasFailed: files.some(({ error }) => error !== null),
    add: (added) => setFiles([...files, ...added.slice(0, MAX_FILES - files.length).map(start)]),
    remove: (key) => {
      files.find((one) => one.key === key)?.abort.abort();
      setFiles((all) => all.filter((one) => one.key !== key));
    },
    uploaded: () =>
      files.flatMap(({ id, file }) =>
        id ? [{ id, filename: file.name, contentType: file.type, byteSize: file.size }] : [],
      ),
    clear: () => setFiles([]),
  };
}
