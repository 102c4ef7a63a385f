"""The words of near matches: English, Persian, Arabic."""

from collections.abc import Mapping

REVIEW_WORDS: Mapping[str, tuple[str, str, str]] = {
    "reviews": ("Perhaps one person", "شاید یک نفر باشند", "ربما شخص واحد"),
    "reviews hint": (
        "Two customers each, who look alike. Your answer is kept and teaches.",
        "هر بار دو مشتری که به هم می‌مانند. پاسخ شما ثبت می‌شود و می‌آموزد.",
        "عميلان متشابهان في كل مرة. تُحفظ إجابتك وتُعلّم.",
    ),
    "reviews none": ("Nothing is to be reviewed.", "چیزی برای بررسی نیست.", "لا شيء للمراجعة."),
    "reviews total": ("In the queue: {}", "در صف: {}", "في الانتظار: {}"),
    "review chance": ("One person: {}", "یک نفر: {}", "شخص واحد: {}"),
    "review household": ("One household: {}", "یک خانوار: {}", "أسرة واحدة: {}"),
    "review trait": ("Trait", "ویژگی", "السمة"),
    "review agrees": ("Agrees", "همخوانی", "التطابق"),
    "review why": (
        "Why? Name the ticket, not the person",
        "چرا؟ شماره تیکت را بنویسید، نه نام مشتری را",
        "لماذا؟ اذكر التذكرة لا الشخص",
    ),
    "review same": ("One person", "یک نفر است", "شخص واحد"),
    "review different": ("Two people", "دو نفرند", "شخصان"),
    "review limit": (
        "One customer of both would have more than usual of: {}. Only your answer can merge them.",
        "با یکی شدن، بیش از معمول می‌شود: {}. تنها پاسخ شما آنها را ادغام می‌کند.",
        "سيتجاوز الدمج المعتاد من: {}. إجابتك وحدها تدمجهما.",
    ),
    "review settled": (
        "This question is settled already.",
        "این پرسش پیش‌تر پاسخ گرفته است.",
        "حُسم هذا السؤال من قبل.",
    ),
    "review bad-reason": (
        "Say why, in 3 to 500 characters and one line.",
        "دلیل را در ۳ تا ۵۰۰ نویسه و یک خط بنویسید.",
        "اذكر السبب في ٣ إلى ٥٠٠ حرف وسطر واحد.",
    ),
    "review personal-reason": (
        "The reason seems to name the person. Reasons are kept for ever: name the ticket.",
        "دلیل گویا نشانی از خود شخص دارد. دلیل‌ها همیشه می‌مانند: شماره تیکت را بنویسید.",
        "يبدو أن السبب يسمّي الشخص. تُحفظ الأسباب دائمًا: اذكر رقم التذكرة.",
    ),
    "review bad-by": ("The key's name cannot be used.", "نام کلید پذیرفته نیست.", "اسم المفتاح غير مقبول."),
    "perhaps": ("Perhaps the same person as", "شاید همان شخص است که", "ربما هو الشخص نفسه"),
    "agrees same": ("same", "یکسان", "مطابق"),
    "agrees near": ("nearly the same", "تقریباً یکسان", "شبه مطابق"),
    "agrees similar": ("similar", "مشابه", "مشابه"),
    "agrees differs": ("differs", "متفاوت", "مختلف"),
    "trait given_name": ("Given name", "نام", "الاسم الأول"),
    "trait surname": ("Surname", "نام خانوادگی", "اسم العائلة"),
    "trait name": ("Name", "نام کامل", "الاسم الكامل"),
    "trait birth_date": ("Date of birth", "تاریخ تولد", "تاريخ الميلاد"),
    "trait address_1": ("Address", "نشانی", "العنوان"),
    "trait address_2": ("Address, second line", "نشانی، خط دوم", "العنوان، السطر الثاني"),
    "trait house_number": ("House number", "پلاک", "رقم المنزل"),
    "trait suburb": ("City", "شهر", "المدينة"),
    "trait postcode": ("Postcode", "کد پستی", "الرمز البريدي"),
    "trait state": ("State", "استان", "المنطقة"),
    "trait country": ("Country", "کشور", "البلد"),
    "trait phone": ("Phone", "تلفن", "الهاتف"),
    "trait email": ("E-mail", "ایمیل", "البريد"),
}
