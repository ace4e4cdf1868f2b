"""Where a bucket is, as each engine calls it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket's name on S3 or `file:///a/folder`, and the prefix below which everything is."""

    address: str
    prefix: str
    region: str | None = None
    endpoint_url: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of this machine."""
        return self.address.startswith("file:")

    @property
    def is_google(self) -> bool:
        """Whether the bucket is in Google's storage, by the S3 protocol."""
        return "storage.googleapis.com" in (self.endpoint_url or "")

    def url(self, scheme: str = "s3") -> str:
        """`s3://bucket/prefix`, or the folder's path."""
        if self.is_folder:
            return f"{unquote(urlsplit(self.address).path)}/{self.prefix}"
        return f"{scheme}://{self.address}/{self.prefix}"

    def https(self) -> str:
        """The same by HTTP, for what does not speak `s3://`."""
        if self.endpoint_url:
            return f"{self.endpoint_url.rstrip('/')}/{self.address}/{self.prefix}"
        region = f".{self.region}" if self.region else ""
        return f"https://{self.address}.s3{region}.amazonaws.com/{self.prefix}"
