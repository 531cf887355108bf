"""A report in a headless Chromium."""

from contextlib import contextmanager


@contextmanager
def opened(browser, file, language="en-US", width=1100, script=True):
    """A page, and the list of whatever it asked for, complained of or opened: it should be empty.

    That the file itself is asked for is not in it.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 800}, locale=language, java_script_enabled=script
    )
    page, seen = context.new_page(), []
    page.on("console", lambda message: seen.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (seen.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: seen.append(f"request: {request.url}"))
    page.goto(file.as_uri())
    assert seen.pop(0) == f"request: {file.as_uri()}"
    yield page, seen
    context.close()
