"""The commonest words of languages that share a script.

Chosen to be frequent and to tell neighbours apart: a word that two languages share votes for both.
"""

from __future__ import annotations

# Language code -> the script it is written in. The first language of a script stands for it.
LANGUAGES: dict[str, str] = {
    "en": "Latin", "de": "Latin", "fr": "Latin", "es": "Latin", "it": "Latin", "pt": "Latin",
    "nl": "Latin", "pl": "Latin", "sv": "Latin", "da": "Latin", "no": "Latin", "fi": "Latin",
    "cs": "Latin", "ro": "Latin", "hu": "Latin", "tr": "Latin", "vi": "Latin", "id": "Latin",
    "sw": "Latin", "ca": "Latin",
    "zh": "Han", "ja": "Kana", "ko": "Hangul",
    "ru": "Cyrillic", "uk": "Cyrillic", "bg": "Cyrillic", "sr": "Cyrillic",
    "ar": "Arabic", "fa": "Arabic", "ur": "Arabic",
    "hi": "Devanagari", "mr": "Devanagari", "ne": "Devanagari",
    "el": "Greek", "he": "Hebrew", "bn": "Bengali", "pa": "Gurmukhi", "gu": "Gujarati",
    "ta": "Tamil", "te": "Telugu", "kn": "Kannada", "ml": "Malayalam", "th": "Thai", "lo": "Lao",
    "km": "Khmer", "my": "Myanmar", "ka": "Georgian", "hy": "Armenian",
}  # fmt: skip

FUNCTION_WORDS: dict[str, str] = {
    "en": "the of and to is in that it for on with as are was this be by have from or we you so "
    "not but they which he she her his has had if then each how many their there what all can i "
    "an at will let us since therefore thus because total now need per one two "
    "does would after my out more than per every my me its into about wait check first next plus "
    "minus times equals equal "
    "were been being could should where who while them him some any no our your only other over "
    "under also such between before both these those did done made make just like up down still",
    "de": "der die das und ist nicht ein eine einen einem einer zu den dem des mit für auf von sie "
    "er es wir ihr im sich auch als wie viele viel wenn dann also insgesamt pro jede jeden jeder "
    "hat haben war sind wird werden aus bei nach noch nur oder aber kostet jetzt zuerst zwei drei "
    "um ich mal dass durch sein seine ihre "
    "hatte hatten ihm ihn wurde kann können muss mehr alle alles beim vom zum zur über unter "
    "zwischen gibt bekommt jeweils davon dieser diese dieses wo warum weil bleiben gab mir mich "
    "uns",
    "fr": "le la les des et est une un du de en que qui dans pour par sur pas ne ce il elle nous "
    "vous ils elles au aux avec son sa ses leur combien donc chaque plus sont ont cette mais ou "
    "où puis alors ainsi total fait deux trois si je comme moins "
    "lui se était avait peut être avoir reste chacun même tout tous toutes aussi encore sans "
    "sous après avant quand mon ma mes notre votre ai cela dont donné soit très bien",
    "es": "el la los las de que y en un una por para con se su sus es son del al lo no como más "
    "cuántos cuántas cuánto cada si pero entonces hay tiene está fue ella él qué total dos tres "
    "cuando luego así también o sobre yo ahora primero "
    "le les me te nos ha han he muy sin entre desde hasta donde quien porque todo todos todas "
    "uno otro otra esta este esto estos eso ese mi ser tener puede hacer dio tenía había quedan "
    "cuesta después antes vez",
    "it": "il lo la gli le di che e è un una per con non del della dei delle nel nella si sono ha "
    "ogni quanti quante quanto ma se più come anche quindi allora poi suo sua i al alla da due tre "
    "io ora prima questo questa "
    "degli alle ai dal dalla sul sulla essere avere aveva cosa quale chi dove quando perché "
    "tutto tutti ne hanno loro mi ti ci",
    "pt": "o a os as de que e é em um uma para com não do da dos das no na nos nas por se mais "
    "como mas cada quantos quantas quanto então ele ela são tem foi seu sua ao dois três eu agora "
    "primeiro isso também "
    "lhe aos à às pelo pela seus suas meu minha você nós eles elas estava tinha havia onde "
    "quando porque tudo todos este esta esse essa muito sem até",
    "nl": "de het een en van is in dat op te zijn met voor niet aan er om hij zij ze we wij ook "
    "als dan hoeveel elke per maar naar uit bij nog heeft hebben wordt worden dus deze die twee "
    "drie ik nu eerst",
    "pl": "i w na z się nie to jest że do jak ile po za od dla są ma ale co każdy każda więc oraz "
    "przez ten ta te jego jej ich który która dwa trzy teraz najpierw",
    "sv": "och i att det som en ett är på för med av den inte har till de om hur många varje men "
    "så vi hon han ska kan från eller där när två tre jag nu först",
    "da": "og i at det som en et er på for med af den ikke har til de om hvor mange hver men så vi "
    "hun han skal kan fra eller der når to tre jeg nu først",
    "no": "og i at det som en et er på for med av den ikke har til de om hvor mange hver men så vi "
    "hun han skal kan fra eller der når to tre jeg nå først",
    "fi": "ja on ei että se hän kuin mutta niin myös ovat oli joka kun jos sitten kuinka monta "
    "yhteensä kaksi kolme nyt ensin minä me tämä",
    "cs": "a v na je se že s z do o k i pro jak kolik ale to jsou by který která každý tedy dva "
    "tři nyní nejprve nebo když",
    "ro": "și de la în că nu un o cu pe este pentru din mai sunt care dar fiecare câte câți deci "
    "apoi sau doi trei acum",
    "hu": "a az és hogy nem is egy van ez de meg ha mint csak minden hány mennyi tehát vagy két "
    "három most először",
    "tr": "ve bir bu için ile ne kaç her de da olan olarak çok daha sonra ama o kadar toplam iki "
    "üç şimdi önce var",
    "vi": "và của là có không được cho một trong với các những này bao nhiêu mỗi hai ba vậy thì "
    "nếu khi đó số",
    "id": "dan yang di ke dari untuk dengan ini itu adalah pada berapa setiap tidak akan ada juga "
    "jika maka total atau dua tiga sekarang pertama dia mereka kita",
    "sw": "na ya wa kwa ni katika la za kila je ngapi huyo hii hiyo kiasi gani jumla siku moja "
    "mbili tatu yake wake lake zake alikuwa ana kama hivyo basi sasa kwanza au cha vya ili",
    "ca": "el la els les de que i en un una per amb no és són del al com més cada quants però si "
    "aleshores té dos tres ara primer també",
}

# Names of functions and units: letters, but of no language.
SYMBOLS = (
    "sin cos tan cot sec csc log ln exp lim max min mod gcd lcm sqrt frac cdot times boxed text "
    "mm cm km kg mg ml kwh mph lbs lb ft oz hr hrs kb mb gb tb hz ii iii iv vi vii"
)
NOT_WORDS = frozenset(SYMBOLS.split())
