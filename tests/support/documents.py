"""Documents that hide something, made by the programs that people make them with."""

from __future__ import annotations

import io
import wave
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

NAME = "Ada Zorblatt"
SSN = "512-47-3391"


def picture(text: str = NAME, kind: str = "PNG", **options: Any) -> bytes:
    """Black on white, large."""
    from PIL import Image, ImageDraw, ImageFont

    face = ImageFont.load_default(40)
    shown = Image.new("RGB", (int(face.getlength(text)) + 80, 120), "white")
    ImageDraw.Draw(shown).text((40, 35), text, font=face, fill="black")
    out = io.BytesIO()
    shown.save(out, kind, **options)
    return out.getvalue()


def pdf(
    *,
    text: str = "Nothing here.",
    hidden: str = "",
    note: str = "",
    attached: bytes = b"",
    title: str = "",
    script: str = "",
    image: bytes = b"",
    password: str = "",
) -> bytes:
    """One page that shows ``text``, and whatever else a PDF can carry."""
    from pypdf import PdfReader, PdfWriter
    from pypdf.annotations import FreeText
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject, TextStringObject

    if image:
        from PIL import Image

        out = io.BytesIO()
        Image.open(io.BytesIO(image)).convert("RGB").save(out, "PDF")
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(out.getvalue())))
        page = writer.pages[0]
    else:
        writer = PdfWriter()
        page = writer.add_blank_page(400, 300)
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        unseen = f"BT /F1 12 Tf 3 Tr 20 40 Td ({hidden}) Tj ET" if hidden else ""
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET {unseen}".encode())
        page[NameObject("/Contents")] = writer._add_object(stream)
    if note:
        writer.add_annotation(0, FreeText(text=note, rect=(10, 10, 90, 40)))
    if attached:
        writer.add_attachment("list.txt", attached)
    if title:
        writer.add_metadata({"/Title": title})
    if script:
        action = DictionaryObject(
            {
                NameObject("/S"): NameObject("/JavaScript"),
                NameObject("/JS"): TextStringObject(script),
            }
        )
        writer.root_object[NameObject("/OpenAction")] = writer._add_object(action)
    if password:
        writer.encrypt(password)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def docx(change: Callable[[Any], None] = lambda _: None) -> bytes:
    import docx as python_docx

    document = python_docx.Document()
    document.add_paragraph("Nothing here.")
    change(document)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def xlsx(change: Callable[[Any], None] = lambda _: None) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["item", "amount"])
    book.active.append(["apples", 3])
    change(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def pptx(change: Callable[[Any], None] = lambda _: None) -> bytes:
    import pptx as python_pptx

    show = python_pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = "Nothing here."
    change(slide)
    out = io.BytesIO()
    show.save(out)
    return out.getvalue()


def with_member(archive: bytes, name: str, content: bytes) -> bytes:
    """A ZIP with one more file in it."""
    out = io.BytesIO(archive)
    with zipfile.ZipFile(out, "a") as z:
        z.writestr(name, content)
    return out.getvalue()


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in files.items():
            z.writestr(name, content)
    return out.getvalue()


def mail(**given: Any) -> bytes:
    message = EmailMessage()
    message["From"] = "clinic@northvale.example"
    message["Subject"] = given.get("subject", "Nothing here")
    message.set_content(given.get("text", "Nothing here."), cte=given.get("cte"))
    if "attached" in given:
        name, content = given["attached"]
        message.add_attachment(
            content, maintype="application", subtype="octet-stream", filename=name
        )
    return message.as_bytes()


def sound() -> bytes:
    """A tenth of a second of silence as WAV, with a name in its tags."""
    out = io.BytesIO()
    with wave.open(out, "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(8000)
        w.writeframes(b"\0\0" * 800)
    tag = b"IART" + (len(NAME) + 1).to_bytes(4, "little") + NAME.encode() + b"\0"
    tag += b"\0" * (len(tag) % 2)
    listed = b"LIST" + (len(tag) + 4).to_bytes(4, "little") + b"INFO" + tag
    raw = out.getvalue() + listed
    return raw[:4] + (len(raw) - 8).to_bytes(4, "little") + raw[8:]


def shape_text(slide: Any, text: str) -> None:
    slide.shapes.add_textbox(0, 0, 100, 100).text_frame.text = text


def two_runs(document: Any) -> None:
    paragraph = document.add_paragraph("Ada Zor")
    paragraph.add_run("blatt").bold = True


def hidden_sheet(book: Any) -> None:
    sheet = book.create_sheet("more")
    sheet.sheet_state = "veryHidden"
    sheet["C9"] = NAME


def comment(book: Any) -> None:
    from openpyxl.comments import Comment

    book.active["A1"].comment = Comment("see list", NAME)


HIDDEN: dict[str, Callable[[], tuple[bytes, str]]] = {
    "text": lambda: (NAME.encode(), "a.txt"),
    "text in UTF-16": lambda: (f"x {NAME}".encode("utf-16"), "a.txt"),
    "text in UTF-16 without a mark": lambda: (f"x {NAME}".encode("utf-16-be"), "a.txt"),
    "text in Windows-1252": lambda: (f"für {NAME}".encode("cp1252"), "a.csv"),
    "a line of JSON": lambda: (b'{"a": 1}\n{"b": "Ada \\u005aorblatt"}\n', "a.jsonl"),
    "HTML, cut by tags": lambda: (b"<p>Ada Zor<b>bla</b>tt</p>", "a.html"),
    "an HTML comment": lambda: (f"<p>x</p><!-- {NAME} -->".encode(), "a.html"),
    "an HTML attribute": lambda: (f'<img alt="{NAME}">'.encode(), "a.html"),
    "a script": lambda: (f"<script>x = '{NAME}'</script>".encode(), "a.html"),
    "HTML entities": lambda: (b"<p>Ada &#90;orblatt</p>", "a.html"),
    "SVG": lambda: (b"<svg><text>Ada <tspan>Zor</tspan>blatt</text></svg>", "a.svg"),
    "a paragraph of DOCX": lambda: (docx(lambda d: d.add_paragraph(NAME)), "a.docx"),
    "DOCX, cut by runs": lambda: (docx(two_runs), "a.docx"),
    "a header of DOCX": lambda: (
        docx(lambda d: d.sections[0].header.paragraphs[0].add_run(NAME)),
        "a.docx",
    ),
    "a table of DOCX": lambda: (
        docx(lambda d: setattr(d.add_table(1, 1).cell(0, 0), "text", NAME)),
        "a.docx",
    ),
    "a comment's author in DOCX": lambda: (
        docx(lambda d: d.add_comment(d.paragraphs[0].runs, "look", author=NAME, initials="A")),
        "a.docx",
    ),
    "custom XML of DOCX": lambda: (
        with_member(docx(), "customXml/item9.xml", f"<a b='{SSN}'/>".encode()),
        "a.docx",
    ),
    "a picture in DOCX": lambda: (docx(lambda d: d.add_picture(io.BytesIO(picture()))), "a.docx"),
    "a cell of XLSX": lambda: (xlsx(lambda b: b.active.append([NAME])), "a.xlsx"),
    "a number of XLSX": lambda: (xlsx(lambda b: b.active.append([512473391])), "a.xlsx"),
    "a hidden sheet": lambda: (xlsx(hidden_sheet), "a.xlsx"),
    "the name of a sheet": lambda: (xlsx(lambda b: b.create_sheet(NAME)), "a.xlsx"),
    "a comment of XLSX": lambda: (xlsx(comment), "a.xlsx"),
    "a text box of PPTX": lambda: (pptx(lambda s: shape_text(s, NAME)), "a.pptx"),
    "notes of PPTX": lambda: (
        pptx(lambda s: setattr(s.notes_slide.notes_text_frame, "text", NAME)),
        "a.pptx",
    ),
    "PDF": lambda: (pdf(text=NAME), "a.pdf"),
    "invisible text in PDF": lambda: (pdf(hidden=NAME), "a.pdf"),
    "a note in PDF": lambda: (pdf(note=NAME), "a.pdf"),
    "a file in PDF": lambda: (pdf(attached=NAME.encode()), "a.pdf"),
    "a script in PDF": lambda: (pdf(script=f"app.alert('{NAME}')"), "a.pdf"),
    "a scan in PDF": lambda: (pdf(image=picture()), "a.pdf"),
    "a picture": lambda: (picture(), "a.png"),
    "a photograph": lambda: (picture(kind="JPEG"), "a.jpg"),
    "a subject of mail": lambda: (mail(subject=f"über {NAME}"), "a.eml"),
    "mail in base64": lambda: (mail(text=f"{NAME}\n", cte="base64"), "a.eml"),
    "a file in mail": lambda: (mail(attached=("b.csv", f"name\n{NAME}".encode())), "a.eml"),
    "the name of a file in mail": lambda: (mail(attached=(f"{NAME}.csv", b"a,b")), "a.eml"),
    "a file in a ZIP": lambda: (zipped(**{"b.txt": NAME.encode()}), "a.zip"),
    "the name of a file in a ZIP": lambda: (zipped(**{f"{NAME}.txt": b"x"}), "a.zip"),
    "a workbook in a ZIP in mail": lambda: (
        mail(attached=("b.zip", zipped(**{"c.xlsx": xlsx(hidden_sheet)}))),
        "a.eml",
    ),
}
"""Where a name can stand in a document: the bytes, and the file's name."""
