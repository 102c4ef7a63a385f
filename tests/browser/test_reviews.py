"""The operators' page of near matches, in a real browser."""

import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from connectors.serve.keys import ViewKeys, profile_json, record_json
from tests.browser.test_desk import chromium
from tests.peers.gateway import Door, gateway
from tests.peers.people import profile

__all__ = ["chromium"]

pytestmark = [pytest.mark.kafka, pytest.mark.browser]

PAIR = b"p" * 16


def _trait(value: str) -> dict[str, Any]:
    return {"value": value, "source": "crm", "at_ms": 1_700_000_000_000}


def _person(number: int, family: str, birth: str, city: str, phone: str) -> dict[str, Any]:
    values = {"first_name": "سارا", "last_name": family, "birth_date": birth, "city": city, "postcode": "1234567890"}
    node = bytes([number]) * 16
    member = {"node": node, "kind": "user_id", "value": f"u-{number}", "since_ms": 1, "signal_id": "s"}
    more = {"node": bytes([number + 8]) * 16, "kind": "phone", "value": phone, "since_ms": 1, "signal_id": "s"}
    traits = {name: _trait(value) for name, value in values.items()}
    return profile(number, members=[member, more], traits=traits)


class Queue:
    """A gateway whose view holds one question."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.redis = redis.Redis.from_url(door.redis)
        self.keys = ViewKeys(door.prefix)
        for person in (
            _person(1, "محمدی", "1363-02-12", "تهران", "+989123456789"),
            _person(2, "محمدي", "1363-02-21", "تهران", "+989123456780"),
        ):
            self.redis.set(self.keys.profile(person["customer"]), profile_json(person))
            for member in person["members"]:
                self.redis.set(self.keys.node(member["node"]), person["customer"].hex())

    def ask(self) -> None:
        agreement = {"given_name": "same", "surname": "same", "birth": "near", "suburb": "same", "phone": "near"}
        nodes = (bytes([1]) * 16, bytes([2]) * 16)
        match = {"id": PAIR, "node": nodes[0], "other": nodes[1], "customer": nodes[0], "state": "open", "match": 0.93}
        match |= {"household": 0.02, "agreement": agreement, "limit": "user_id", "by": "", "at_ms": 1, "since_ms": 1}
        self.redis.set(self.keys.match(PAIR.hex()), record_json(match))
        for name in (self.keys.matches, *(self.keys.alike(node.hex()) for node in nodes)):
            self.redis.zadd(name, {PAIR.hex(): 0.93})


@pytest.fixture(scope="module")
def queue(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    with gateway(kafka, redis_url, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("reviews")) as door:
        found = Queue(door)
        yield found
        found.redis.close()


@pytest.fixture
def operator(queue: Queue, chromium: webdriver.Chrome) -> webdriver.Chrome:
    chromium.delete_all_cookies()
    chromium.get(f"{queue.door.url}/desk/login")
    chromium.find_element(By.NAME, "key").send_keys(queue.door.keys["operator"])
    chromium.find_element(By.CSS_SELECTOR, "main button").click()
    # The browser comes back before the answer does, and would leave again for where that leads.
    WebDriverWait(chromium, 20).until(lambda page: not page.current_url.endswith("/desk/login"))
    queue.ask()
    return chromium


@pytest.mark.parametrize(
    ("language", "direction", "words"),
    [
        ("en", "ltr", ("Perhaps one person", "One person: 93%", "nearly the same", "Two people")),
        ("fa", "rtl", ("شاید یک نفر باشند", "یک نفر: ۹۳٪", "تقریباً یکسان", "دو نفرند")),
        ("ar", "rtl", ("ربما شخص واحد", "شخص واحد: ٩٣٪", "شبه مطابق", "شخصان")),
    ],
)
def test_two_golden_records_side_by_side(
    queue: Queue, operator: webdriver.Chrome, language: str, direction: str, words: tuple[str, ...]
) -> None:
    """In each language and direction, with what agrees and what does not, within the window."""
    operator.get(f"{queue.door.url}/desk/reviews?lang={language}")
    text = operator.find_element(By.TAG_NAME, "body").text
    for word in (*words, "محمدی", "محمدي", "1363-02-21"):
        assert word in text
    assert operator.find_element(By.TAG_NAME, "html").get_attribute("dir") == direction
    wide = operator.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    rows = operator.find_elements(By.CSS_SELECTOR, "tr[data-agreement]")
    assert [row.get_attribute("data-agreement") for row in rows].count("near") >= 1
    if folder := os.environ.get("SADA_SCREENSHOTS"):
        operator.save_screenshot(f"{folder}/reviews-{language}.png")


def test_an_answer_is_kept_and_asked_no_more(queue: Queue, operator: webdriver.Chrome) -> None:
    """A reason that names the person is refused in the operator's language; a good one is a ruling in Kafka."""
    operator.get(f"{queue.door.url}/desk/reviews?lang=en")
    operator.find_element(By.NAME, "reason").send_keys("call 09123456789")
    operator.find_element(By.CSS_SELECTOR, "button[value=no]").click()
    wait = WebDriverWait(operator, 8, ignored_exceptions=(StaleElementReferenceException, NoSuchElementException))
    wait.until(lambda driver: "name the ticket" in driver.find_element(By.CSS_SELECTOR, "[role=alert]").text)
    operator.find_element(By.NAME, "reason").send_keys("two sisters, ticket 12")
    operator.find_element(By.CSS_SELECTOR, "button[value=no]").click()
    # The answer leads to another page: until it is there, what is found may be the old one's, or gone when it is read.
    wait.until(lambda driver: "Nothing is to be reviewed" in driver.find_element(By.TAG_NAME, "main").text)
    (ruling,) = queue.door.rulings(lambda made: bool(made["reason"] == "two sisters, ticket 12"))
    assert (ruling["kind"], ruling["node"], ruling["other"]) == ("different", bytes([1]) * 16, bytes([2]) * 16)
    assert ruling["by"] == "operator"


def test_the_360_page_says_perhaps(queue: Queue, operator: webdriver.Chrome) -> None:
    """And leads to the other; an agent, who may not answer, sees it as well, but no queue."""
    operator.get(f"{queue.door.url}/desk/customers/{(1).to_bytes(16, 'big').hex()}?lang=en")
    line = operator.find_element(By.CSS_SELECTOR, ".perhaps")
    assert "93%" in line.text
    assert (2).to_bytes(16, "big").hex() in (line.find_element(By.TAG_NAME, "a").get_attribute("href") or "")
    assert operator.find_elements(By.CSS_SELECTOR, "nav a[href='/desk/reviews']")
    page = queue.door.get(f"/desk/customers/{(1).to_bytes(16, 'big').hex()}", key="agent").text
    assert "perhaps" in page
    assert "/desk/reviews" not in page
