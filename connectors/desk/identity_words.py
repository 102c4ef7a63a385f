"""The words of identity and of the timeline: English, Persian, Arabic."""

from collections.abc import Mapping

IDENTITY_WORDS: Mapping[str, tuple[str, str, str]] = {
    # relations
    "same household": ("Same household as", "هم‌خانه با", "من أسرة"),
    "same account": ("Same company as", "همکار در شرکت با", "من شركة"),
    "same referred_by": ("Referred by", "معرف:", "أحاله"),
    "referred_by": ("Referred by", "معرف:", "أحاله"),
    "has referred": ("Has referred", "معرفی کرده:", "أحال"),
    "crowded": ("very many: not counted", "افراد بسیار: به حساب نمی‌آید", "كثيرون جدًا: لا يُحتسب"),
    # why this is one person
    "why one": ("Why is this one person?", "چرا این یک نفر است؟", "لماذا هذا شخص واحد؟"),
    "members": ("Identifiers", "شناسه‌ها", "المعرّفات"),
    "refusals told": ("Kept apart from", "جدا نگه داشته شده از", "مفصول عن"),
    "merge story": ("Merges and splits", "ادغام‌ها و جداسازی‌ها", "الدمج والفصل"),
    "operator": ("operator", "اپراتور", "مشغّل"),
    "signal": ("signal", "سیگنال", "إشارة"),
    "written": ("written as", "نوشته‌شده به شکل", "كُتب"),
    "suspended": (
        "suspended: it tied too many customers",
        "معلق: مشتریان زیادی را به هم پیوند داد",
        "معلّق: ربط عملاء كثيرين",
    ),
    "other customer": ("another customer", "مشتری دیگر", "عميل آخر"),
    "refused limit": ("a merge would have too many of: {}", "با ادغام بیش از حد می‌شد: {}", "الدمج يتجاوز الحد من: {}"),
    "refused cut": ("an operator parted them", "اپراتور آنها را جدا کرد", "فصل بينهما مشغّل"),
    "refused suspended": (
        "the identifier ties too many customers",
        "این شناسه مشتریان زیادی را پیوند می‌دهد",
        "هذا المعرّف يربط عملاء كثيرين",
    ),
    "refused erased": ("the other was erased", "طرف دیگر پاک شده است", "مُحي الطرف الآخر"),
    "was merged": ("merged with another customer", "با مشتری دیگری یکی شد", "دُمج مع عميل آخر"),
    "was split": ("split from another customer", "از مشتری دیگری جدا شد", "فُصل عن عميل آخر"),
    "was suspended": ("an identifier was suspended", "شناسه‌ای معلق شد", "عُلّق معرّف"),
    "was released": ("a suspension ended", "تعلیق پایان یافت", "انتهى التعليق"),
    "was refused": ("a merge was refused", "ادغامی رد شد", "رُفض دمج"),
    "cuts kept": (
        "Parted by an operator, and kept so: {}",
        "جداشده به دست اپراتور و پایدار: {}",
        "مفصول بقرار مشغّل ويبقى كذلك: {}",
    ),
    "lost values": ("also said: {}", "همچنین گفته شده: {}", "قيل أيضًا: {}"),
    "fields": ("Fields, and who said so", "ویژگی‌ها و گوینده‌شان", "السمات ومن قالها"),
    "not kept": ("not kept:", "نگه‌داشته‌نشده:", "لم يُعتمد:"),
    "rule newest": ("the newest wins", "تازه‌ترین می‌ماند", "الأحدث يبقى"),
    "rule trusted": ("the most trusted wins", "معتمدترین می‌ماند", "الأوثق يبقى"),
    "rule frequent": ("the most frequent wins", "پرتکرارترین می‌ماند", "الأكثر تكرارًا يبقى"),
    "rule all": ("all are kept", "همه می‌مانند", "الكل يبقى"),
    # a death, or mourning
    "bereaved": ("Bereavement", "سوگ", "حِداد"),
    "advise bereaved": (
        "Be gentle: there was a death. Only answer what they ask.",
        "با ملایمت: سوگی پیش آمده است. فقط به پرسش پاسخ دهید.",
        "بلطف: هناك حالة وفاة. أجب عن السؤال فقط.",
    ),
    # the timeline
    "of traits": ("{} traits", "{} ویژگی", "{} من السمات"),
    "of items": ("{} items", "{} قلم", "{} من الأصناف"),
    "of scale": ("{} of {}", "{} از {}", "{} من {}"),
    "inbound": ("from them", "دریافتی", "واردة"),
    "outbound": ("to them", "ارسالی", "صادرة"),
    "resolved": ("resolved", "حل شد", "حُلّت"),
    "closed": ("closed", "بسته شد", "أُغلقت"),
    "updated": ("updated", "به‌روز شد", "حُدّثت"),
    "reopened": ("opened again", "دوباره باز شد", "أُعيد فتحها"),
    "assigned": ("assigned", "ارجاع شد", "أُسندت"),
    "escalated": ("escalated", "به سطح بالاتر رفت", "صُعّدت"),
    "ticket opened": ("opened", "باز شد", "فُتحت"),
    "delivery": ("delivery", "ارسال", "التوصيل"),
    "billing": ("billing", "صورت‌حساب", "الفوترة"),
}
