/** The files of a message: images as thumbnails, other files with name and size. */
import type { Attachment } from "../api/messages";
import { formatSize } from "./format";
import { Icon } from "./Icon";

interface Props {
  attachments: readonly Attachment[];
  isTabbable: boolean;
}

/** The maximum width and height of a thumbnail in the list, in pixels. */
const MAX_SIDE_PX = 320;

export function Attachments({ attachments, isTabbable }: Props) {
  if (attachments.length === 0) return null;
  return (
    <div class="attachments">
      {attachments.map((one) => (
        <a key={one.id} href={one.url} target="_blank" rel="noopener" tabIndex={isTabbable ? 0 : -1} class="attachment">
          {one.thumbnailUrl ? <ImageThumbnail image={one} src={one.thumbnailUrl} /> : <FileCard file={one} />}
        </a>
      ))}
    </div>
  );
}

/** With width and height, so that the rows do not move when the image has loaded. */
function ImageThumbnail({ image, src }: { image: Attachment; src: string }) {
  const [width, height] = [image.width ?? MAX_SIDE_PX, image.height ?? MAX_SIDE_PX];
  const scale = Math.min(1, MAX_SIDE_PX / Math.max(width, height));
  const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
  return <img src={src} alt={image.filename} {...size} />;
}

function FileCard({ file }: { file: Attachment }) {
  return (
    <span class="file">
      <Icon name="file" />
      <span>{file.filename}</span>
      <small>{formatSize(file.byteSize)}</small>
    </span>
  );
}
