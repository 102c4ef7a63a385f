"""Words of opinion in English, Persian and Arabic, with emoji: what mood.py counts.

Ours, written for what customers tell a shop or a bank: words of service, delivery, money and quality, rather than of
films or politics. The scale follows VADER's (how strong a word is by itself), halved and rounded to 1 (plain), 2
(clear) and 3 (strong); no foreign list is copied. Words that only name a thing of ours ("refund", "late" alone in a
question about a date) are left out or weak: the ticket's reason says those.

Persian and Arabic are written here as people write them; mood.fold_letters brings both sides to one form.

References
----------
Hutto and Gilbert 2014, "VADER: a parsimonious rule-based model for sentiment analysis of social media text", ICWSM
"""

from collections.abc import Mapping

# Valence to words.
ENGLISH: Mapping[int, str] = {
    3: "excellent amazing perfect outstanding fantastic wonderful awesome love loved brilliant superb flawless",
    2: "great good happy glad thanks thank thankyou helpful recommend satisfied pleased delighted lovely best fast "
    "friendly impressed enjoy enjoyed enjoying appreciate",
    1: "nice fine ok okay easy quick quickly smooth works solved resolved better kind polite clear reliable fresh "
    "comfortable like liked welcome",
    -1: "slow late delay delayed delays expensive confusing difficult hard missing problem problems issue issues error "
    "errors wait waiting waited unclear sad cold dirty noisy annoying annoyed unhappy cancel complicated ignored",
    -2: "bad poor wrong broken damaged defective disappointed disappointing angry upset unacceptable frustrated "
    "frustrating rude fail failed fails failure complaint complain useless worse hate hated dislike unprofessional "
    "overpriced overcharged unsatisfied dissatisfied refuse refused lied lie ripped",
    -3: "terrible horrible awful worst scam fraud disgusting disgusted furious pathetic thief thieves stolen cheated "
    "nightmare garbage trash appalling ridiculous",
}

PERSIAN: Mapping[int, str] = {
    3: "عالی فوق‌العاده بی‌نظیر محشر معرکه شاهکار عاشقشم بهترین",
    2: "خوب راضی خوشحال ممنون ممنونم مرسی متشکرم سپاس سپاسگزارم تشکر باکیفیت زیبا قشنگ پسندیدم خوشم لذت دوستداشتنی "
    "سپاسگزار خرسند",
    1: "سریع راحت مناسب بدنیست مودب مهربان حل بهتر تازه سالم دقیق",
    -1: "دیر تاخیر تأخیر گران گرون سخت مشکل کند معطل منتظر گیج ناراحت خطا ایراد ناقص کثیف سرد پیچیده اشتباه",
    -2: "بد ناراضی خراب شکسته معیوب عصبانی بی‌کیفیت ضعیف بی‌ادب شکایت متاسفم متأسفانه پشیمان پشیمونم بی‌مسئولیت "
    "غیرقابل‌قبول نامناسب بدقول الکی بدم ناامید",
    -3: "افتضاح مزخرف فاجعه کلاهبرداری کلاهبردار دزد دزدی آشغال بدترین متنفرم وحشتناک تقلبی داغون",
}

ARABIC: Mapping[int, str] = {
    3: "ممتاز ممتازة رائع رائعة مذهل مذهلة مثالي مثالية أفضل احسن أحب احب",
    2: "جيد جيدة راضي راضية راض راضيا سعيد سعيدة شكرا شكراً مشكور مشكورين جميل جميلة أنصح مفيد مفيدة حلو حلوة كويس تمام",
    1: "سريع سريعة سهل سهلة مناسب مناسبة لطيف لطيفة مريح مريحة واضح محترم",
    -1: "بطيء بطيئة متأخر متأخرة تأخير تأخر غالي غالية صعب صعبة مشكلة مشاكل خطأ ناقص ناقصة انتظار حزين معقد",
    -2: "سيء سيئ سيئة رديء رديئة مكسور مكسورة تالف تالفة خربان غاضب غاضبة زعلان مستاء شكوى خائب محبط محبطة ضعيف "
    "خاطئ كذب وقح",
    -3: "فظيع فظيعة أسوأ اسوء احتيال نصب نصاب نصابين سرقة لصوص حرامية زبالة مقرف كارثة كارثي أكره",
}

EMOJI: Mapping[int, str] = {
    3: "😍 🥰 🤩 ❤ 💯",
    2: "😀 😃 😄 😁 😊 🙂 👍 👏 🙏 🎉 🌹 😘 💚 💙",
    -1: "😕 🙁 ☹ 😔 😞 😐",
    -2: "😢 😭 😠 👎 😒 😩 😤 💔",
    -3: "😡 🤬 🤮 🤢",
}

# These turn what follows within REACH words.
NEGATORS_BEFORE = (
    "not no never neither nor without dont doesnt didnt isnt wasnt arent werent cant cannot couldnt wont wouldnt "
    "havent hasnt hadnt aint hardly "
    "هیچ بدون "
    "ليس ليست لست لسنا لا لم لن ما مش مو غير بدون ماكان"
)
# Persian negates at the verb, after the word: these turn what stands up to REACH words before.
NEGATORS_AFTER = (
    "نیست نیستم نیستید نیستند نیستن نیس نبود نبودم نبودند نبودن نشد نشدم نشدند نمیشه نمی‌شود ندارم ندارد نداره ندارند "
    "نداشت نداشتم نکردم نکرد نکردند نمیکنم نمی‌کنم نمیکنه نمیاد نیومد نیامد"
)
# These strengthen what follows.
INTENSIFIERS = (
    "very really so extremely absolutely totally completely خیلی بسیار واقعا واقعاً اصلا جدا جداً کاملا کلا للغاية كثيرا"
)
